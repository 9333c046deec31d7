/* chat.c - renders a chat, and checks that every message has reached the prompt.
 *
 * The text of each checked message has a number, and a prompt records which numbers occur in it. Most chats are rendered
 * once. If messages do not occur, the chat is rendered again with other texts in their place. If the prompt does not
 * change, all of them are lost; otherwise each half of them is tried by itself.
 */
#include "chat_private.h"
#include "template_private.h"

#include <stdlib.h>
#include <string.h>

#define CHECKS_MAX 64 /* renderings of one chat to find lost messages */
#define CHECK_MEMORY ((size_t)256 << 20)

enum message_state {
    MESSAGE_PLAIN,
    MESSAGE_REPLACED, /* by another text, for a check */
    MESSAGE_LOST,
    MESSAGE_MOVED, /* to the first user's text */
};

struct chat_run {
    const struct chat_template *template;
    const struct chat_traits *traits;
    struct value_arena *arena;
    struct value vars, messages; /* as they were sent */
    int64_t now;
    size_t n; /* messages */
    uint8_t *states; /* [n] of enum message_state */
    size_t first_user; /* CHAT_NO_MESSAGE for none */
    struct value lead; /* moved texts, before the first user's; undefined for none */
    unsigned checks; /* left */
    struct template_text text; /* the prompt */
    struct error *err;
};

static struct value message_at(const struct chat_run *r, size_t i)
{
    return r->messages.list->items[i];
}

static struct value content_of(struct value message)
{
    const struct value *content = value_find(message, span_of("content"));
    return content ? *content : value_undefined;
}

/* ---- messages as they are rendered ---- */

/* The texts of a content, with `between` between them. */
static struct value text_of(struct value_arena *a, struct value content, const char *between)
{
    struct value all = content.kind == VALUE_STRING ? content : value_literal("");
    for (size_t i = 0; content.kind == VALUE_LIST && i < content.list->n; i++) {
        const struct value part = content.list->items[i], *text = value_find(part, span_of("text"));
        if (text && text->kind == VALUE_STRING)
            all = chat_join(a, all, i > 0 ? between : "", *text);
    }
    return all;
}

/* The content of the first user's message behind the texts that were moved to it. */
static struct value led_content(const struct chat_run *r, struct value_arena *a, struct value content)
{
    if (content.kind != VALUE_LIST || !r->traits->other_parts)
        return chat_join(a, r->lead, "\n\n", text_of(a, content, "\n"));
    struct value parts = value_list(a, content.list->n + 1), part = value_map(a, 2);
    value_set_new(a, part, value_literal("type"), value_literal("text"));
    value_set_new(a, part, value_literal("text"), r->lead);
    value_append(a, parts, part);
    for (size_t i = 0; i < content.list->n; i++)
        value_append(a, parts, content.list->items[i]);
    return parts;
}

/* Any text but the message's own. */
static struct value other_text(struct value_arena *a, struct value content)
{
    static const char text[] = "Some other text.";
    return value_literal(value_is(text_of(a, content, "\n"), text) ? "Yet another text." : text);
}

static struct value rendered_message(const struct chat_run *r, struct value_arena *a, size_t i)
{
    struct value message = message_at(r, i), changed = value_undefined;
    unsigned number = VALUE_FROM_NUMBERED + (unsigned)(i % VALUE_NUMBERS);
    if (r->states[i] == MESSAGE_REPLACED)
        changed = other_text(a, content_of(message));
    else if (i == r->first_user && r->lead.kind == VALUE_STRING)
        changed = led_content(r, a, content_of(message));
    if (changed.kind != VALUE_UNDEFINED) {
        message = chat_copy(a, message);
        value_set(a, message, value_literal("content"), changed);
    }
    return chat_message(a, r->traits, message, chat_is_answer(message) ? VALUE_FROM_MODEL : number);
}

static bool render(struct chat_run *r, struct value_arena *a, struct template_text *out, struct error *err)
{
    struct value messages = value_list(a, r->n);
    for (size_t i = 0; i < r->n; i++)
        value_append(a, messages, rendered_message(r, a, i));
    struct value vars = chat_with_messages(a, r->vars, messages);
    if (value_arena_failed(a))
        return value_arena_explain(a, "the request", err);
    const struct template_limits limits = {.beside = a};
    return template_render(r->template->parsed, vars, r->now, &limits, out, err);
}

/* ---- the check ---- */

/* Whether the prompt changes when these messages have other texts. A failure to render counts as a change. */
static bool changes_prompt(struct chat_run *r, const size_t *at, size_t n)
{
    struct error ignored = {0};
    struct template_text text = {0};
    struct value_arena *a = value_arena_beside(r->arena, CHECK_MEMORY);
    for (size_t i = 0; i < n; i++)
        r->states[at[i]] = MESSAGE_REPLACED;
    bool good = a && render(r, a, &text, &ignored);
    for (size_t i = 0; i < n; i++)
        r->states[at[i]] = MESSAGE_PLAIN;
    bool same = good && text.size == r->text.size && memcmp(text.text, r->text.text, text.size) == 0;
    template_text_release(&text);
    value_arena_free(a);
    return !same;
}

/* Marks those of the messages that are lost. When no check is left, the rest counts as lost. */
static void settle_lost(struct chat_run *r, const size_t *at, size_t n)
{
    bool lost = r->checks == 0 || !changes_prompt(r, at, n);
    r->checks -= r->checks > 0;
    for (size_t i = 0; lost && i < n; i++)
        r->states[at[i]] = MESSAGE_LOST;
    if (lost || n == 1)
        return;
    settle_lost(r, at, n / 2);
    settle_lost(r, at + n / 2, n - n / 2);
}

static bool is_blank(struct value text)
{
    struct value rest = strip(&text, NULL, true, false);
    return rest.text.size == 0;
}

static bool is_checked(const struct chat_run *r, size_t i)
{
    struct value message = message_at(r, i), content = content_of(message);
    if (message.kind != VALUE_MAP || chat_is_answer(message) || r->states[i] == MESSAGE_MOVED)
        return false;
    return (content.kind == VALUE_STRING || content.kind == VALUE_LIST) &&
           !is_blank(text_of(r->arena, content, "\n"));
}

/* Marks the messages that the prompt lost. False when memory is short. */
static bool find_lost(struct chat_run *r)
{
    size_t n = 0, *unseen = calloc(r->n + 1, sizeof(*unseen));
    if (!unseen)
        return error_no_memory(r->err, "the request");
    for (size_t i = 0; i < r->n; i++)
        if (!template_text_shows(&r->text, i % VALUE_NUMBERS) && is_checked(r, i))
            unseen[n++] = i;
    if (n > 0)
        settle_lost(r, unseen, n);
    free(unseen);
    return true;
}

/* ---- lost messages ---- */

static bool refuse(struct chat_run *r, size_t i, size_t *refused)
{
    char shown[64];
    const struct value *role = value_find(message_at(r, i), span_of("role"));
    text_escape(shown, sizeof(shown), role && role->kind == VALUE_STRING ? value_span(*role) : span_of(""));
    *refused = i;
    return error_set(r->err,
        "'messages[%zu]' has the role '%s', and the chat template of this model ignores its text", i, shown);
}

/* Moves lost system texts to the first user's; *moved is true when there are any. False when another message is lost, or
 * there is no user. */
static bool move_lost(struct chat_run *r, bool *moved, size_t *refused)
{
    *moved = false;
    for (size_t i = 0; i < r->n; i++) {
        if (r->states[i] != MESSAGE_LOST)
            continue;
        if (!chat_is_system(message_at(r, i)) || r->first_user == CHAT_NO_MESSAGE)
            return refuse(r, i, refused);
        struct value text = text_of(r->arena, content_of(message_at(r, i)), "\n");
        r->lead = r->lead.kind == VALUE_STRING ? chat_join(r->arena, r->lead, "\n\n", text) : text;
        r->states[i] = MESSAGE_MOVED;
        *moved = true;
    }
    return true;
}

/* Renders the chat, and renders it again with the lost system texts in another place. */
static bool render_checked(struct chat_run *r, bool *moved, size_t *refused)
{
    bool again;
    if (!render(r, r->arena, &r->text, r->err) || !find_lost(r) || !move_lost(r, moved, refused))
        return false;
    if (!*moved)
        return true;
    template_text_release(&r->text);
    return render(r, r->arena, &r->text, r->err) && find_lost(r) && move_lost(r, &again, refused) &&
           (!again || error_set(r->err, "the chat template of this model has no place for a system message"));
}

static size_t find_first_user(const struct chat_run *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct value *role = value_find(message_at(r, i), span_of("role"));
        if (role && value_is(*role, "user"))
            return i;
    }
    return CHAT_NO_MESSAGE;
}

bool chat_render(const struct chat_template *c, struct value_arena *a, struct value vars, int64_t now,
    struct chat_prompt *out, struct error *err)
{
    const struct value *messages = value_find(vars, span_of("messages"));
    const struct template_limits limits = {.beside = a};
    *out = (struct chat_prompt){.refused = CHAT_NO_MESSAGE};
    /* A request may set any variable, this one included. */
    if (!messages || messages->kind != VALUE_LIST)
        return template_render(c->parsed, vars, now, &limits, &out->text, err);
    struct chat_run r = {.template = c,
        .traits = chat_traits_of(c),
        .arena = a,
        .vars = vars,
        .messages = *messages,
        .now = now,
        .n = messages->list->n,
        .states = calloc(messages->list->n + 1, 1),
        .checks = CHECKS_MAX,
        .err = err};
    bool moved = false;
    r.first_user = find_first_user(&r);
    bool good = r.traits && r.states ? render_checked(&r, &moved, &out->refused)
                                     : error_no_memory(err, "the request");
    free(r.states);
    if (!good) {
        template_text_release(&r.text);
        return false;
    }
    out->text = r.text;
    out->moved_first = moved && !atomic_flag_test_and_set(&c->kept->moved);
    return true;
}

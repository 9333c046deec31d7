/* chat_probe.c - finds out by short renderings what a template takes and what it writes.
 *
 * Probes have lower render limits than prompts, so that they do not delay the first request for long. A probe that fails
 * means that the template does not take this form; the model does not fail.
 */
#include "chat_private.h"

#include <stdlib.h>
#include <string.h>

#define PROBE_MESSAGES 4

static const struct template_limits probe_limits = {
    .steps = 1000000, .memory = (size_t)16 << 20, .output = (size_t)1 << 20};

/* Chats of plain messages. Some templates refuse a system message, and some all but a user's. */
struct probe {
    const char *roles[PROBE_MESSAGES]; /* those beyond the last are NULL */
};

static const struct probe plain[] = {
    {{"system", "user", "assistant", "user"}}, {{"user", "assistant", "user"}}, {{"user"}}};

/* Chats that end with an answer: a template may write something else after the last answer than between turns. */
static const struct probe answered[] = {{{"system", "user", "assistant"}}, {{"user", "assistant"}}};

#define N_PLAIN (sizeof(plain) / sizeof(plain[0]))
#define N_ANSWERED (sizeof(answered) / sizeof(answered[0]))

static struct value probe_messages(struct value_arena *a, const struct chat_traits *t, const struct probe *p)
{
    static const char *const texts[PROBE_MESSAGES] = {
        "Alpha words.", "Beta words.", "Gamma words.", "Delta words."};
    struct value list = value_list(a, PROBE_MESSAGES);
    for (size_t i = 0; i < PROBE_MESSAGES && p->roles[i]; i++) {
        struct value message = value_map(a, 2);
        value_set_new(a, message, value_literal("role"), value_literal(p->roles[i]));
        value_set_new(a, message, value_literal("content"), value_literal(texts[i]));
        value_append(a, list, chat_message(a, t, message, VALUE_FROM_NUMBERED + (unsigned)i));
    }
    return list;
}

static bool render_probe(const struct chat_template *c, const struct chat_traits *t, const struct probe *p,
    bool add_generation_prompt, struct template_text *out)
{
    struct error ignored = {0};
    struct value_arena *a = value_arena_new(probe_limits.memory);
    if (!a)
        return false;
    struct value vars = value_map(a, 8);
    value_set_new(a, vars, value_literal("messages"), probe_messages(a, t, p));
    value_set_new(a, vars, value_literal("tools"), value_null);
    value_set_new(a, vars, value_literal("documents"), value_null);
    value_set_new(a, vars, value_literal("add_generation_prompt"), value_bool(add_generation_prompt));
    if (c->bos.kind == VALUE_STRING)
        value_set_new(a, vars, value_literal("bos_token"), c->bos);
    if (c->eos.kind == VALUE_STRING)
        value_set_new(a, vars, value_literal("eos_token"), c->eos);
    bool good = !value_arena_failed(a) && template_render(c->parsed, vars, 0, &probe_limits, out, &ignored);
    value_arena_free(a);
    return good;
}

/* How many of a plain chat's texts the prompt shows, in the first of the chats that the template does not refuse. */
static size_t count_shown(const struct chat_template *c, const struct chat_traits *t)
{
    for (size_t i = 0; i < N_PLAIN; i++) {
        struct template_text text;
        size_t n = 0;
        if (!render_probe(c, t, &plain[i], false, &text))
            continue;
        for (size_t k = 0; k < PROBE_MESSAGES; k++)
            n += template_text_shows(&text, k);
        template_text_release(&text);
        return n;
    }
    return 0;
}

/* Chooses the form of content with which most texts are shown. Strings are tried first, so they are chosen when a template
 * takes both forms, or none. */
static void choose_forms(const struct chat_template *c, struct chat_traits *t)
{
    static const struct {
        bool system_parts, other_parts;
    } forms[] = {{false, false}, {true, true}, {false, true}, {true, false}};
    size_t best = 0, most = 0;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]) && most < PROBE_MESSAGES; i++) {
        struct chat_traits tried = {forms[i].system_parts, forms[i].other_parts, .knows_developer = true};
        size_t n = count_shown(c, &tried);
        if (n > most) {
            best = i;
            most = n;
        }
    }
    t->system_parts = forms[best].system_parts;
    t->other_parts = forms[best].other_parts;
}

/* Whether the text has this word, in any case. */
static bool writes(const struct template_text *text, const char *lower)
{
    size_t size = strlen(lower);
    for (size_t i = 0; i + size <= text->size; i++) {
        size_t n = 0;
        while (n < size && (text->text[i + n] | 0x20) == lower[n])
            n++;
        if (n == size)
            return true;
    }
    return false;
}

/* A template knows the role when it shows such a message, and its source or the prompt has the role's name. Otherwise it
 * treats the message like that of some other role. */
static bool find_developer(const struct chat_template *c, const struct chat_traits *t)
{
    static const struct probe probe = {{"developer", "user"}};
    struct chat_traits knowing = *t;
    struct template_text text;
    knowing.knows_developer = true;
    if (!render_probe(c, &knowing, &probe, false, &text))
        return false;
    bool known = template_text_shows(&text, 0) &&
                 (template_names(c->parsed, "developer") || writes(&text, "developer"));
    template_text_release(&text);
    return known;
}

static void keep_written(
    const struct chat_template *c, struct chat_traits *t, const struct probe *p, bool add_generation_prompt)
{
    struct template_text text;
    if (t->n_written < CHAT_WRITTEN_MAX && render_probe(c, t, p, add_generation_prompt, &text))
        t->written[t->n_written++] = text;
}

static struct chat_traits *find_traits(const struct chat_template *c)
{
    struct chat_traits *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    choose_forms(c, t);
    t->knows_developer = find_developer(c, t);
    for (size_t i = 0; i < N_PLAIN; i++)
        keep_written(c, t, &plain[i], true);
    for (size_t i = 0; i < N_ANSWERED; i++)
        keep_written(c, t, &answered[i], false);
    return t;
}

void chat_traits_free(struct chat_traits *t)
{
    for (size_t i = 0; t && i < t->n_written; i++)
        template_text_release(&t->written[i]);
    free(t);
}

const struct chat_traits *chat_traits_of(const struct chat_template *c)
{
    struct chat_traits *known = atomic_load_explicit(&c->kept->traits, memory_order_acquire);
    if (known)
        return known;
    struct chat_traits *found = find_traits(c);
    /* When several threads find the traits at the same time, those of the first one are kept. */
    if (found && !atomic_compare_exchange_strong(&c->kept->traits, &known, found)) {
        chat_traits_free(found);
        return known;
    }
    return found;
}

const struct template_text *chat_written(const struct chat_template *c, size_t *n)
{
    const struct chat_traits *t = chat_traits_of(c);
    *n = t ? t->n_written : 0;
    return t ? t->written : NULL;
}

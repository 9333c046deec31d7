/* reader.c - from tagged text to what a client gets.
 *
 * Bytes go two ways. Those of text, reasoning and bare strings pass `held`, which keeps what may become a marker: when
 * the marker's last byte comes with its own tag, what is held is dropped, otherwise it is told. All bytes pass `out`,
 * which collects one event and never tells the half of a character.
 */
#include "format_private.h"

#include <string.h>

#define NAME_MAX ((size_t)1 << 12)
#define OUT_MAX ((size_t)1 << 26)
#define NEWLINES_MAX 2

enum {
    READER_SPLIT = 1, /* reasoning is told apart */
    READER_WROTE = 2, /* text was told */
    READER_NAMING = 4, /* the name of a call is being read, and the call not told yet */
    READER_CALL = 8, /* a call was told, and its end was not */
    READER_KEYED = 16, /* its arguments come one by one */
    READER_VALUE_DUE = 32, /* a key was told, its value was not */
    READER_QUOTED = 64, /* a bare string was opened */
    READER_STRING = 128, /* inside a string of arguments in JSON */
    READER_ESCAPE = 256, /* behind a backslash in it */
    READER_OPENED = 512, /* the prompt opened the reasoning */
    READER_REASONING = 1024, /* reasoning is being told as text */
};

struct reader_run {
    struct chat_reader *r;
    chat_reader_tell *tell;
    void *context;
};

void chat_reader_init(struct chat_reader *r, const struct chat_form *form, struct byte_budget *memory)
{
    memset(r, 0, sizeof(*r));
    r->format = form->format;
    if (form->split_reasoning)
        r->flags |= READER_SPLIT;
    if (r->format && chat_format_opens_reasoning(r->format, form->prompt_end)) {
        r->flags |= READER_OPENED;
        r->trim = NEWLINES_MAX;
    }
    strbuf_init(&r->name, NAME_MAX);
    strbuf_init(&r->id, NAME_MAX);
    strbuf_init(&r->out, OUT_MAX);
    r->name.budget = r->id.budget = r->out.budget = memory;
}

void chat_reader_release(struct chat_reader *r)
{
    strbuf_release(&r->name);
    strbuf_release(&r->id);
    strbuf_release(&r->out);
}

bool chat_reader_in_call(const struct chat_reader *r)
{
    return (r->flags & (READER_NAMING | READER_CALL)) != 0;
}

/* ---- telling ---- */

/* Bytes at the end that begin a character and do not finish it. */
static size_t unfinished(struct span s)
{
    for (size_t n = 1; n <= 3 && n <= s.size; n++) {
        uint8_t c = s.at[s.size - n];
        size_t size = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        if (c < 0x80 || c >= 0xc0)
            return size > n ? n : 0;
    }
    return 0;
}

/* Arguments are JSON, which has no bytes that are not UTF-8. */
static void tell_valid(struct reader_run *w, struct span s, size_t call)
{
    size_t from = 0, at = 0;
    while (at < s.size) {
        size_t n = text_character((struct span){s.at + at, s.size - at});
        if (n == 0) {
            if (at > from)
                w->tell(w->context, w->r->kind, call, (struct span){s.at + from, at - from});
            w->tell(w->context, w->r->kind, call, span_of("\xef\xbf\xbd"));
            from = at + 1;
        }
        at += n > 0 ? n : 1;
    }
    if (at > from)
        w->tell(w->context, w->r->kind, call, (struct span){s.at + from, at - from});
}

/* Tells what `out` has; without `all` the beginning of a character stays. */
static void flush(struct reader_run *w, bool all)
{
    struct chat_reader *r = w->r;
    struct span s = strbuf_span(&r->out);
    size_t rest = all ? 0 : unfinished(s), call = r->n_calls > 0 ? r->n_calls - 1 : 0;
    s.size -= rest;
    r->failed = r->failed || r->out.failed;
    if (s.size == 0)
        return;
    if (r->kind == CHAT_CALL_ARGUMENTS)
        tell_valid(w, s, call);
    else
        w->tell(w->context, r->kind, call, s);
    memmove(r->out.text, r->out.text + s.size, rest);
    strbuf_cut(&r->out, rest);
}

static void put(struct reader_run *w, enum chat_event kind, struct span s)
{
    if (kind != w->r->kind)
        flush(w, true);
    w->r->kind = kind;
    strbuf_add(&w->r->out, s);
}

static void put_arguments(struct reader_run *w, const char *json)
{
    put(w, CHAT_CALL_ARGUMENTS, span_of(json));
}

/* Text of a JSON string. */
static void put_escaped(struct reader_run *w, struct span s)
{
    size_t from = 0;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.at[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        put(w, CHAT_CALL_ARGUMENTS, (struct span){s.at + from, i - from});
        if (c == '\n')
            strbuf_text(&w->r->out, "\\n");
        else if (c < 0x20)
            strbuf_format(&w->r->out, "\\u%04x", (unsigned)c);
        else
            strbuf_format(&w->r->out, "\\%c", c);
        from = i + 1;
    }
    put(w, CHAT_CALL_ARGUMENTS, (struct span){s.at + from, s.size - from});
}

/* ---- calls ---- */

/* Tells the call whose name is whole. */
static void begin_call(struct reader_run *w)
{
    struct chat_reader *r = w->r;
    if (!(r->flags & READER_NAMING))
        return;
    flush(w, true);
    r->failed = r->failed || r->name.failed || r->id.failed;
    r->n_calls++;
    r->depth = 0;
    r->flags = (uint16_t)((r->flags & ~(READER_NAMING | READER_KEYED | READER_STRING | READER_ESCAPE)) |
                          READER_CALL);
    if (r->id.size > 0)
        w->tell(w->context, CHAT_CALL_ID, r->n_calls - 1, strbuf_span(&r->id));
    w->tell(w->context, CHAT_CALL_BEGIN, r->n_calls - 1, strbuf_span(&r->name));
    strbuf_cut(&r->id, 0);
}

static void end_call(struct reader_run *w)
{
    flush(w, true);
    w->r->flags &= (uint16_t)~READER_CALL;
    w->tell(w->context, CHAT_CALL_END, w->r->n_calls - 1, span_of(""));
}

/* The value of the last key is whole. */
static void end_value(struct reader_run *w)
{
    struct chat_reader *r = w->r;
    if (r->flags & READER_QUOTED)
        put_arguments(w, "\"");
    else if (r->flags & READER_VALUE_DUE)
        put_arguments(w, "\"\""); /* only a bare string can be empty */
    r->flags &= (uint16_t) ~(READER_QUOTED | READER_VALUE_DUE);
}

static void end_keyed_call(struct reader_run *w)
{
    begin_call(w);
    if (!(w->r->flags & READER_CALL))
        return;
    end_value(w);
    put_arguments(w, w->r->flags & READER_KEYED ? "}" : "{}");
    end_call(w);
}

/* A call is over when something else begins. */
static void leave_call(struct reader_run *w)
{
    if (w->r->format && w->r->format->calls->keyed && (w->r->flags & (READER_CALL | READER_NAMING)))
        end_keyed_call(w);
}

static void read_name(struct reader_run *w, struct span s)
{
    struct chat_reader *r = w->r;
    if (!(r->flags & READER_NAMING) || r->tag != CHAT_TAG_CALL_NAME) {
        leave_call(w);
        strbuf_cut(&r->name, 0);
        if (r->format->calls->id_place != CHAT_ID_BEFORE_NAME)
            strbuf_cut(&r->id, 0);
        r->flags |= READER_NAMING;
    }
    strbuf_add(&r->name, s);
}

/* JSON as it is; the call ends with the last bracket. */
static void read_arguments(struct reader_run *w, struct span s)
{
    struct chat_reader *r = w->r;
    begin_call(w);
    if (!(r->flags & READER_CALL))
        return;
    size_t i = 0;
    bool whole = false;
    for (; !whole && i < s.size; i++) {
        uint8_t c = s.at[i];
        bool text = (r->flags & READER_STRING) != 0;
        if (r->flags & READER_ESCAPE) {
            r->flags &= (uint16_t)~READER_ESCAPE;
        } else if (c == '\\' && text) {
            r->flags |= READER_ESCAPE;
        } else if (c == '"') {
            r->flags ^= READER_STRING;
        } else if (!text && (c == '{' || c == '[')) {
            r->depth++;
        } else if (!text && (c == '}' || c == ']')) {
            r->depth -= r->depth > 0;
            whole = r->depth == 0;
        }
    }
    put(w, CHAT_CALL_ARGUMENTS, (struct span){s.at, i});
    if (whole)
        end_call(w);
}

static void read_key(struct reader_run *w, struct span s)
{
    struct chat_reader *r = w->r;
    begin_call(w);
    if (!(r->flags & READER_CALL))
        return;
    if (r->tag != CHAT_TAG_KEY) {
        end_value(w);
        put_arguments(w, r->flags & READER_KEYED ? ", \"" : "{\"");
        r->flags |= READER_KEYED;
    }
    put_escaped(w, s);
}

/* A value begins where the key is over. */
static void leave_key(struct reader_run *w)
{
    if (w->r->tag != CHAT_TAG_KEY || !(w->r->flags & READER_CALL))
        return;
    put_arguments(w, "\": ");
    w->r->flags |= READER_VALUE_DUE;
}

static void read_value(struct reader_run *w, uint16_t tag, struct span s)
{
    struct chat_reader *r = w->r;
    r->flags &= (uint16_t)~READER_VALUE_DUE;
    if (tag == CHAT_TAG_VALUE)
        put(w, CHAT_CALL_ARGUMENTS, s);
    else if (r->tag != tag)
        put_arguments(w, tag == JSON_TAG_TRUE ? "true" : tag == JSON_TAG_FALSE ? "false" : "null");
}

static void read_id(struct reader_run *w, struct span s)
{
    const struct chat_reader *r = w->r;
    enum chat_id_place place = r->format->calls->id_place;
    if (place == CHAT_ID_AFTER_ARGUMENTS)
        return; /* the call was told before it */
    if (place == CHAT_ID_BEFORE_NAME && r->tag != CHAT_TAG_CALL_ID)
        strbuf_cut(&w->r->id, 0);
    strbuf_add(&w->r->id, s);
}

/* ---- markers ---- */

static bool begins(struct span s, const char *marker, bool whole)
{
    struct span m = chat_piece(marker);
    return (s.size < m.size || (whole && s.size == m.size)) && memcmp(s.at, m.at, s.size) == 0;
}

/* `s` is the beginning of a name, with `whole` perhaps with the byte `end` behind it. */
static bool is_name(struct span s, uint8_t end, bool whole)
{
    if (s.size > (size_t)CHAT_NAME_MAX + whole)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.at[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        bool last = whole && i == s.size - 1 && c == end;
        if (!letter && !last && !(c >= '-' && c <= ':') && c != '_')
            return false; /* from '-' to ':' there are digits, '.' and '/' */
    }
    return true;
}

/* `s` begins what opens a call without a mark: two pieces and a name, which is stored where `s` reaches it. */
static bool opens_call(
    struct span s, const char *piece, const char *other, uint8_t end, bool whole, struct span *name)
{
    const char *const pieces[] = {piece, other};
    for (size_t i = 0; i < 2; i++) {
        struct span p = chat_piece(pieces[i]);
        size_t n = s.size < p.size ? s.size : p.size;
        if (n > 0 && memcmp(s.at, p.at, n) != 0)
            return false;
        if (n < p.size)
            return true;
        s = (struct span){s.at + n, s.size - n};
    }
    *name = s;
    return is_name(s, end, whole);
}

static bool begins_call(const struct chat_calls *c, struct span s, bool whole, struct span *name)
{
    *name = span_of("");
    if (c->name_decides)
        return opens_call(s, c->list_open, NULL, chat_piece(c->after_name).at[0], whole, name);
    for (size_t i = 0; c->loose && chat_loose_fences[i]; i++)
        for (size_t k = 0; chat_loose_names[k]; k++)
            if (opens_call(s, chat_loose_fences[i], chat_loose_names[k], '"', whole, name))
                return true;
    return c->implicit && (begins(s, c->before_name, whole) || begins(s, c->other_before_name, whole));
}

/* `s` begins a marker, or is one with `whole`. */
static bool begins_marker(const struct chat_reader *r, uint16_t tag, struct span s, bool whole)
{
    const struct chat_format *f = r->format;
    const struct chat_calls *c = f->calls;
    if (s.size == 0)
        return true;
    if (tag == CHAT_TAG_RAW)
        return begins(s, c->raw_close, whole);
    const char *const all[] = {c->trigger ? c->trigger : c->open, f->reasoning_open, f->reasoning_close,
        f->text_open, f->text_close, f->harmony ? "<|end|>" : NULL};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (begins(s, all[i], whole))
            return true;
    struct span name;
    return tag == CHAT_TAG_TEXT && !(r->flags & READER_WROTE) && begins_call(c, s, whole, &name);
}

static size_t newlines_of(struct span s)
{
    size_t n = 0;
    while (n < s.size && n < NEWLINES_MAX && s.at[n] == '\n')
        n++;
    return n;
}

static struct span from(struct span s, size_t n)
{
    return (struct span){s.at + n, s.size - n};
}

/* May become a marker, with newlines in front. */
static bool is_held(const struct chat_reader *r, uint16_t tag, struct span s)
{
    size_t newlines = tag == CHAT_TAG_RAW ? 0 : newlines_of(s);
    for (size_t n = newlines + 1; n-- > 0;)
        if (begins_marker(r, tag, from(s, n), false))
            return s.size > 0;
    return false;
}

/* Bytes that are certain to be no marker. */
static void put_text(struct reader_run *w, uint16_t tag, struct span s)
{
    struct chat_reader *r = w->r;
    bool split = (r->flags & READER_SPLIT) != 0;
    if (tag == CHAT_TAG_RAW) {
        put_escaped(w, s);
        return;
    }
    for (; s.size > 0 && r->trim > 0 && s.at[0] == '\n' && (tag == CHAT_TAG_TEXT || split); r->trim--)
        s = from(s, 1);
    if (s.size == 0)
        return;
    r->trim = 0;
    if (tag == CHAT_TAG_TEXT)
        r->flags |= READER_WROTE;
    put(w, tag == CHAT_TAG_REASONING && split ? CHAT_REASONING : CHAT_TEXT, s);
}

static void release_held(struct reader_run *w, uint16_t tag, size_t n)
{
    struct chat_reader *r = w->r;
    put_text(w, tag, (struct span){r->held, n});
    r->n_held -= n;
    memmove(r->held, r->held + n, r->n_held);
}

static void hold_byte(struct reader_run *w, uint16_t tag, uint8_t byte)
{
    struct chat_reader *r = w->r;
    if (r->n_held == CHAT_HELD_MAX)
        release_held(w, tag, 1);
    r->held[r->n_held++] = byte;
    size_t n = 0;
    while (n < r->n_held && !is_held(r, tag, (struct span){r->held + n, r->n_held - n}))
        n++;
    release_held(w, tag, n);
}

static void read_text(struct reader_run *w, uint16_t tag, struct span s)
{
    if (!w->r->format) {
        put(w, CHAT_TEXT, s);
        return;
    }
    for (size_t i = 0; i < s.size;) {
        size_t n = 0;
        while (w->r->n_held == 0 && i + n < s.size && !is_held(w->r, tag, (struct span){s.at + i + n, 1}))
            n++;
        put_text(w, tag, (struct span){s.at + i, n});
        i += n;
        if (i < s.size)
            hold_byte(w, tag, s.at[i++]);
    }
}

/* A call without a mark has begun: its name stands at the end of what is held. */
static void take_bare_name(struct reader_run *w, size_t newlines)
{
    const struct chat_reader *r = w->r;
    struct span name, s = from((struct span){r->held, r->n_held}, newlines);
    if (r->tag == CHAT_TAG_TEXT && !(r->flags & READER_WROTE) &&
        begins_call(r->format->calls, s, false, &name) && name.size > 0)
        read_name(w, name);
}

/* The newlines that stand in front of the marker which the held bytes begin and `mark` goes on with; SIZE_MAX when they
 * begin none. A control token in place of the mark closes a bare string. */
static size_t newlines_before_marker(const struct chat_reader *r, struct span mark)
{
    uint8_t joined[CHAT_HELD_MAX + 1];
    struct span s = {joined, r->n_held + 1};
    if (mark.size == 0)
        return r->tag == CHAT_TAG_RAW ? 0 : SIZE_MAX;
    memcpy(joined, r->held, r->n_held);
    joined[r->n_held] = mark.at[0];
    size_t newlines = r->tag == CHAT_TAG_RAW ? 0 : newlines_of((struct span){joined, r->n_held});
    for (size_t n = 0; n <= newlines && n < r->n_held; n++)
        if (begins_marker(r, r->tag, from(s, n), true))
            return n;
    return SIZE_MAX;
}

/* Another tag follows the held bytes. Those that begin a marker are dropped, and so are newlines in front of anything that
 * is no text. Newlines of reasoning that is told as text stay. */
static void settle_held(struct reader_run *w, uint16_t next, struct span mark)
{
    struct chat_reader *r = w->r;
    if (r->n_held == 0)
        return;
    bool keep = r->tag == CHAT_TAG_RAW || (r->tag == CHAT_TAG_REASONING && !(r->flags & READER_SPLIT));
    size_t told = r->n_held;
    size_t before = next == GRAMMAR_TAG_MARK ? newlines_before_marker(r, mark) : SIZE_MAX;
    if (before != SIZE_MAX) {
        take_bare_name(w, before);
        told = keep ? before : 0;
    }
    for (size_t n = 0; before == SIZE_MAX && !keep && n < NEWLINES_MAX && told > 0; n++)
        told -= r->held[told - 1] == '\n';
    put_text(w, r->tag, (struct span){r->held, told});
    r->n_held = 0;
}

/* ---- reasoning as text ---- */

static void mark_reasoning(struct reader_run *w, uint16_t tag)
{
    struct chat_reader *r = w->r;
    bool inside = (r->flags & READER_REASONING) != 0;
    if ((r->flags & READER_SPLIT) || tag == GRAMMAR_TAG_MARK || inside == (tag == CHAT_TAG_REASONING))
        return;
    r->flags ^= READER_REASONING;
    if (inside)
        put(w, CHAT_TEXT, chat_piece(r->format->reasoning_close));
    else if (!(r->flags & READER_OPENED))
        put(w, CHAT_TEXT, chat_piece(r->format->reasoning_open));
}

/* ---- tags ---- */

static void read_run(struct reader_run *w, uint16_t tag, struct span s)
{
    struct chat_reader *r = w->r;
    switch (tag) {
    case GRAMMAR_TAG_MARK:
        r->trim = NEWLINES_MAX;
        break;
    case CHAT_TAG_REASONING:
        read_text(w, tag, s);
        break;
    case CHAT_TAG_CALL_NAME:
        read_name(w, s);
        break;
    case CHAT_TAG_ARGUMENTS:
        read_arguments(w, s);
        break;
    case CHAT_TAG_KEY:
        read_key(w, s);
        break;
    case CHAT_TAG_VALUE:
    case JSON_TAG_TRUE:
    case JSON_TAG_FALSE:
    case JSON_TAG_NULL:
        read_value(w, tag, s);
        break;
    case CHAT_TAG_RAW:
        if (!(r->flags & READER_QUOTED))
            put_arguments(w, "\"");
        r->flags = (uint16_t)((r->flags & ~READER_VALUE_DUE) | READER_QUOTED);
        read_text(w, tag, s);
        break;
    case CHAT_TAG_CALL_ID:
        read_id(w, s);
        break;
    case CHAT_TAG_CALL_END:
        end_keyed_call(w);
        break;
    default:
        leave_call(w);
        read_text(w, CHAT_TAG_TEXT, s);
    }
}

void chat_reader_add(
    struct chat_reader *r, uint16_t tag, struct span text, chat_reader_tell *tell, void *context)
{
    struct reader_run w = {r, tell, context};
    if (tag != r->tag) {
        settle_held(&w, tag, text);
        leave_key(&w);
        mark_reasoning(&w, tag);
    }
    if (tag == GRAMMAR_TAG_MARK || text.size > 0)
        read_run(&w, tag, text);
    r->tag = tag;
    flush(&w, false);
}

void chat_reader_end(struct chat_reader *r, bool whole, chat_reader_tell *tell, void *context)
{
    struct reader_run w = {r, tell, context};
    if (r->n_held > 0)
        put_text(&w, r->tag, (struct span){r->held, r->n_held});
    r->n_held = 0;
    if (whole)
        leave_call(&w);
    flush(&w, true);
}

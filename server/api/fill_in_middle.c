/* fill_in_middle.c - prompts for the text between a prefix and a suffix.
 *
 *   BOS [extra] <prefix> PREFIX <suffix> SUFFIX <middle> [begun]
 *
 * where the words in angle brackets are tokens of the vocabulary. Extra texts are files of a repository where the
 * vocabulary has tokens for that, and plain text otherwise. The order is that of llama.cpp, and of the models' training.
 */
#include "berth/server/api/fill_in_middle.h"

#define ROOM_LEAST 64 /* tokens that are left for an answer of unknown length, */
#define ROOM_SHARE 4 /* and at least this part of the context */
#define MARKS 8 /* tokens that stand around the texts, and some */
#define EXTRA_MAX 256 /* texts */

bool fill_in_middle_is_known(const struct tokenizer *t)
{
    return t && tokenizer_special(t, TOKENIZER_FIM_PREFIX) != TOKENIZER_NONE &&
           tokenizer_special(t, TOKENIZER_FIM_SUFFIX) != TOKENIZER_NONE &&
           tokenizer_special(t, TOKENIZER_FIM_MIDDLE) != TOKENIZER_NONE;
}

/* The parts while they are made. */
struct middle_work {
    const struct text_model *text;
    const struct tokenizer *tokenizer;
    struct prompt prefix, suffix, begun, extra;
    struct api_error *c;
};

static bool add_text(struct middle_work *w, struct prompt *p, struct span text, const char *param)
{
    struct tokenizer_text in = {.text = text};
    return text.size == 0 || prompt_add_text(p, w->text, &in, param, w->c);
}

static bool add_string(struct middle_work *w, struct prompt *p, const json_t *value, const char *param)
{
    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value))
        return api_error_bad(w->c, param, "'%s' must be a string", param);
    return add_text(
        w, p, (struct span){(const uint8_t *)json_string_value(value), json_string_length(value)}, param);
}

/* ---- extra texts ---- */

static bool add_mark(struct middle_work *w, int32_t mark, const char *otherwise)
{
    if (mark != TOKENIZER_NONE)
        return prompt_add_id(&w->extra, mark, w->c);
    return add_text(w, &w->extra, span_of(otherwise), "input_extra");
}

static bool add_file(struct middle_work *w, const json_t *file, int32_t mark)
{
    const json_t *name = json_object_get(file, "filename"), *text = json_object_get(file, "text");
    if (!json_is_object(file) || !json_is_string(text) || (name && !json_is_string(name)))
        return api_error_bad(w->c, "input_extra",
            "'input_extra' must be a list of objects with strings 'filename' and 'text'");
    return add_mark(w, mark, "\n\n--- snippet ---\n\n") &&
           (mark == TOKENIZER_NONE || (add_string(w, &w->extra, name, "input_extra") &&
                                          add_text(w, &w->extra, span_of("\n"), "input_extra"))) &&
           add_string(w, &w->extra, text, "input_extra");
}

static bool add_extra(struct middle_work *w, const json_t *extra)
{
    int32_t mark = tokenizer_special(w->tokenizer, TOKENIZER_FIM_FILE);
    int32_t repository = tokenizer_special(w->tokenizer, TOKENIZER_FIM_REPOSITORY);
    if (!extra || json_is_null(extra))
        return true;
    if (!json_is_array(extra) || json_array_size(extra) > EXTRA_MAX)
        return api_error_bad(
            w->c, "input_extra", "'input_extra' must be a list of at most %d objects", EXTRA_MAX);
    if (json_array_size(extra) == 0)
        return true;
    if (repository != TOKENIZER_NONE && !(prompt_add_id(&w->extra, repository, w->c) &&
                                            add_text(w, &w->extra, span_of("repository\n"), "input_extra")))
        return false;
    for (size_t i = 0; i < json_array_size(extra); i++)
        if (!add_file(w, json_array_get(extra, i), mark))
            return false;
    return mark == TOKENIZER_NONE ||
           (prompt_add_id(&w->extra, mark, w->c) && add_text(w, &w->extra, span_of("file\n"), "input_extra"));
}

/* ---- the whole ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many tokens the texts may have. */
static size_t room_of(const struct middle_work *w, int64_t most)
{
    size_t context = text_model_context(w->text), answer = context / ROOM_SHARE;
    if (most >= 0 && (uint64_t)most < answer)
        answer = (size_t)most;
    if (answer < ROOM_LEAST)
        answer = ROOM_LEAST;
    return context > answer + MARKS ? context - answer - MARKS : 0;
}

static bool add_ids(
    struct middle_work *w, struct prompt *p, const struct tokenizer_ids *from, size_t start, size_t n)
{
    bool good = true;
    for (size_t i = 0; good && i < n; i++)
        good = prompt_add_id(p, from->at[start + i], w->c);
    return good;
}

/* The suffix gets at most a quarter of the room, the prefix what is left, extra texts what is left then. */
static bool join(struct middle_work *w, struct prompt *p, const struct fill_in_middle *f)
{
    const struct tokenizer_ids *prefix = &w->prefix.ids, *suffix = &w->suffix.ids, *extra = &w->extra.ids;
    size_t room = f->whole ? SIZE_MAX : room_of(w, f->most);
    room -= least(w->begun.ids.n, room);
    size_t behind = least(suffix->n, room - least(prefix->n, room - room / 4));
    size_t before = least(prefix->n, room - behind);
    size_t others = least(extra->n, room - behind - before);
    int32_t bos = tokenizer_special(w->tokenizer, TOKENIZER_BOS);
    bool begins = !f->bare && tokenizer_adds_bos(w->tokenizer) && bos != TOKENIZER_NONE;
    return (!begins || prompt_add_id(p, bos, w->c)) && add_ids(w, p, extra, extra->n - others, others) &&
           prompt_add_id(p, tokenizer_special(w->tokenizer, TOKENIZER_FIM_PREFIX), w->c) &&
           add_ids(w, p, prefix, prefix->n - before, before) &&
           prompt_add_id(p, tokenizer_special(w->tokenizer, TOKENIZER_FIM_SUFFIX), w->c) &&
           add_ids(w, p, suffix, 0, behind) &&
           prompt_add_id(p, tokenizer_special(w->tokenizer, TOKENIZER_FIM_MIDDLE), w->c) &&
           add_ids(w, p, &w->begun.ids, 0, w->begun.ids.n);
}

bool fill_in_middle_prompt(struct prompt *p, const struct text_model *t, const struct fill_in_middle *f,
    const char *param, struct api_error *c)
{
    struct prompt empty = {.ids.stop = p->ids.stop, .memory = p->memory};
    struct middle_work w = {.text = t,
        .tokenizer = text_model_tokenizer(t),
        .prefix = empty,
        .suffix = empty,
        .begun = empty,
        .extra = empty,
        .c = c};
    if (!fill_in_middle_is_known(w.tokenizer))
        return api_error_status(c, 400, "model_not_supported", param,
            "'%s' is not supported: this model has no tokens for filling in the middle", param);
    bool good = add_string(&w, &w.prefix, f->prefix, f->prefix_name) &&
                add_string(&w, &w.suffix, f->suffix, param) && add_string(&w, &w.begun, f->begun, "prompt") &&
                add_extra(&w, f->extra) && join(&w, p, f);
    prompt_release(&w.prefix);
    prompt_release(&w.suffix);
    prompt_release(&w.begun);
    prompt_release(&w.extra);
    return good;
}

/* hf_special.c - which tokens have roles, what is added around a text, the chat template, and settings of generation.
 *
 * What is added to a text is what tokenizer.json adds. Which token ends an answer is told by tokenizer_config.json, or
 * special_tokens_map.json, and by generation_config.json, which may name several; where none does, by config.json.
 */
#include "hf_private.h"

#include <stdio.h>
#include <string.h>

#define ENDS_MAX 16

struct special_files {
    struct value tokenizer; /* tokenizer_config.json */
    struct value map; /* special_tokens_map.json */
    struct value generation; /* generation_config.json */
};

static const struct {
    const char *name, *key;
} roles[] = {
    {"eos_token", "tokenizer.ggml.eos_token_id"},
    {"unk_token", "tokenizer.ggml.unknown_token_id"},
    {"pad_token", "tokenizer.ggml.padding_token_id"},
    {"sep_token", "tokenizer.ggml.seperator_token_id"}, /* as GGUF spells it */
    {"mask_token", "tokenizer.ggml.mask_token_id"},
};

/* A token is a string, or an object with the string as "content". */
static struct span text_of(struct value map, const char *name)
{
    const struct value *v = hf_member(map, name);
    if (v && v->kind == VALUE_MAP)
        v = hf_member(*v, "content");
    return v && v->kind == VALUE_STRING ? value_span(*v) : (struct span){0};
}

/* The id of the token with this role; UINT64_MAX: no file names it, or the vocabulary does not have it. */
static uint64_t id_of(const struct hf_tokenizer *t, const struct special_files *f, const char *name)
{
    struct span text = text_of(f->tokenizer, name);
    if (text.size == 0)
        text = text_of(f->map, name);
    return text.size == 0 ? UINT64_MAX : hf_find_token(t, text);
}

/* ---- what is added around a text ---- */

struct around {
    uint64_t before, after; /* ids; UINT64_MAX: nothing */
};

/* The id behind {"SpecialToken": {"id": "<s>"}}. */
static bool template_token(const struct value *processor, const struct value *special, uint64_t *id)
{
    const struct value *name = hf_member(*special, "id"), *all = hf_member(*processor, "special_tokens");
    const struct value *token =
        name && all && name->kind == VALUE_STRING ? value_find(*all, value_span(*name)) : NULL;
    const struct value *ids = token ? hf_member(*token, "ids") : NULL;
    if (!ids || ids->kind != VALUE_LIST || ids->list->n != 1 || ids->list->items[0].kind != VALUE_INTEGER ||
        ids->list->items[0].integer < 0)
        return false;
    *id = (uint64_t)ids->list->items[0].integer;
    return true;
}

static bool read_template(const struct value *processor, struct around *a, struct error *err)
{
    const struct value *single = hf_member(*processor, "single");
    bool seen = false;
    for (size_t i = 0; single && single->kind == VALUE_LIST && i < single->list->n; i++) {
        const struct value *special = hf_member(single->list->items[i], "SpecialToken");
        uint64_t *at = seen ? &a->after : &a->before;
        seen = seen || !special;
        if (special && (*at != UINT64_MAX || !template_token(processor, special, at)))
            return hf_refuse_tokenizer("post_processor", "adds several tokens on one side of a text", err);
    }
    return seen || hf_refuse_tokenizer("post_processor.single", "has no text", err);
}

/* {"sep": ["[SEP]", 102], "cls": ["[CLS]", 101]} */
static bool read_pair(const struct value *processor, const char *name, uint64_t *id, struct error *err)
{
    const struct value *pair = hf_member(*processor, name);
    if (!pair || pair->kind != VALUE_LIST || pair->list->n != 2 ||
        pair->list->items[1].kind != VALUE_INTEGER || pair->list->items[1].integer < 0)
        return hf_refuse_tokenizer("post_processor", "has no sep or cls", err);
    *id = (uint64_t)pair->list->items[1].integer;
    return true;
}

static bool read_processor(const struct value *p, struct around *a, struct error *err)
{
    if (!p || hf_is_type(p, "ByteLevel"))
        return true;
    if (hf_is_type(p, "TemplateProcessing"))
        return read_template(p, a, err);
    if (hf_is_type(p, "BertProcessing") || hf_is_type(p, "RobertaProcessing"))
        return read_pair(p, "cls", &a->before, err) && read_pair(p, "sep", &a->after, err);
    return hf_refuse_tokenizer("post_processor", "has a type that berth does not run", err);
}

static bool read_around(const struct hf_tokenizer *t, struct around *a, struct error *err)
{
    const struct value *p = hf_member(t->file, "post_processor");
    *a = (struct around){UINT64_MAX, UINT64_MAX};
    if (!p || !hf_is_type(p, "Sequence"))
        return read_processor(p, a, err);
    const struct value *steps = hf_member(*p, "processors");
    for (size_t i = 0; steps && steps->kind == VALUE_LIST && i < steps->list->n; i++)
        if (!read_processor(&steps->list->items[i], a, err))
            return false;
    return true;
}

static bool add_around(
    struct hf_model *m, const struct hf_tokenizer *t, const struct special_files *f, struct error *err)
{
    struct around a;
    if (!read_around(t, &a, err))
        return false;
    if (t->wordpiece && (a.before == UINT64_MAX || a.after == UINT64_MAX))
        return hf_refuse_tokenizer(
            "post_processor", "does not wrap a text, which berth always does with WordPiece", err);
    const uint64_t bos = a.before != UINT64_MAX ? a.before : id_of(t, f, "bos_token");
    const uint64_t eos = id_of(t, f, "eos_token");
    if (!t->wordpiece && a.after != UINT64_MAX && a.after != eos)
        return hf_refuse_tokenizer(
            "post_processor", "adds a token behind a text that is not the eos_token", err);
    if (t->wordpiece && a.after != id_of(t, f, "sep_token"))
        return hf_refuse_tokenizer(
            "post_processor", "adds a token behind a text that is not the sep_token", err);
    return (bos == UINT64_MAX || hf_add_whole(m, "tokenizer.ggml.bos_token_id", bos, err)) &&
           hf_add_bool(m, "tokenizer.ggml.add_bos_token", a.before != UINT64_MAX, err) &&
           hf_add_bool(m, "tokenizer.ggml.add_eos_token", a.after != UINT64_MAX, err);
}

/* ---- roles ---- */

static size_t add_end(uint64_t ends[ENDS_MAX], size_t n, const struct value *v)
{
    if (v && v->kind == VALUE_INTEGER && v->integer >= 0 && n < ENDS_MAX)
        ends[n++] = (uint64_t)v->integer;
    for (size_t i = 0; v && v->kind == VALUE_LIST && i < v->list->n; i++)
        if (v->list->items[i].kind == VALUE_INTEGER)
            n = add_end(ends, n, &v->list->items[i]);
    return n;
}

/* All tokens that end an answer. */
static bool add_ends(
    struct hf_model *m, const struct hf_tokenizer *t, const struct special_files *f, struct error *err)
{
    uint64_t ends[ENDS_MAX];
    size_t n = add_end(ends, 0, hf_member(f->generation, "eos_token_id"));
    if (n == 0)
        n = add_end(ends, 0, hf_field(m, "eos_token_id"));
    uint8_t *bytes = hf_memory(m, 8 * n + 1, err);
    for (size_t i = 0; bytes && i < n; i++)
        hf_put_u64(bytes + 8 * i, ends[i]);
    if (!bytes || n == 0)
        return bytes != NULL;
    const bool named = id_of(t, f, "eos_token") != UINT64_MAX;
    return (named || hf_add_whole(m, "tokenizer.ggml.eos_token_id", ends[0], err)) &&
           hf_add_array(m, "tokenizer.ggml.end_token_ids", CHECKPOINT_UNSIGNED, 8, n,
               (struct span){bytes, 8 * n}, err);
}

static bool add_roles(
    struct hf_model *m, const struct hf_tokenizer *t, const struct special_files *f, struct error *err)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        const uint64_t id = id_of(t, f, roles[i].name);
        if (id != UINT64_MAX && !hf_add_whole(m, roles[i].key, id, err))
            return false;
    }
    return true;
}

/* ---- chat templates ---- */

static bool add_named_templates(struct hf_model *m, const struct value *list, struct error *err)
{
    for (size_t i = 0; i < list->list->n; i++) {
        const struct span name = text_of(list->list->items[i], "name"),
                          text = text_of(list->list->items[i], "template");
        char key[HF_KEY_ROOM];
        if (name.size == 0 || name.size > 32 || memchr(name.at, '\0', name.size))
            return error_set(
                err, "tokenizer_config.json: field \"chat_template\" has an item without a name");
        const bool main = span_is(name, "default");
        snprintf(key, sizeof(key), "tokenizer.chat_template%s%.*s", main ? "" : ".",
            main ? 0 : (int)name.size, (const char *)name.at);
        if (!hf_add_text(m, key, text, err))
            return false;
    }
    return true;
}

/* A file by itself wins over the field of tokenizer_config.json. */
static bool add_templates(struct hf_model *m, const struct special_files *f, struct error *err)
{
    static const char *const key = "tokenizer.chat_template";
    struct span text;
    struct value file;
    bool there;
    if (!hf_side_file(m, "chat_template.jinja", &text, &there, err))
        return false;
    if (there)
        return hf_add_text(m, key, text, err);
    if (!hf_json_file(m, "chat_template.json", &file, &there, err))
        return false;
    const struct value *v = hf_member(there ? file : f->tokenizer, "chat_template");
    if (v && v->kind == VALUE_LIST)
        return add_named_templates(m, v, err);
    return !v || v->kind != VALUE_STRING || hf_add_text(m, key, value_span(*v), err);
}

/* ---- settings ---- */

static const struct {
    const char *field, *key;
} settings[] = {
    {"temperature", "general.sampling.temp"},
    {"top_p", "general.sampling.top_p"},
    {"min_p", "general.sampling.min_p"},
    {"typical_p", "general.sampling.typical_p"},
    {"repetition_penalty", "general.sampling.penalty_repeat"},
};

static bool add_settings(struct hf_model *m, struct value generation, struct error *err)
{
    const struct value *samples = hf_member(generation, "do_sample"), *top_k = hf_member(generation, "top_k");
    if (samples && samples->kind == VALUE_BOOL && !samples->boolean)
        return true;
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        const struct value *v = hf_member(generation, settings[i].field);
        if (v && (v->kind == VALUE_INTEGER || v->kind == VALUE_FLOAT) &&
            !hf_add_real(m, settings[i].key, v->kind == VALUE_INTEGER ? (double)v->integer : v->real, err))
            return false;
    }
    return !top_k || top_k->kind != VALUE_INTEGER || top_k->integer < 0 ||
           hf_add_whole(m, "general.sampling.top_k", (uint64_t)top_k->integer, err);
}

bool hf_read_special(struct hf_model *m, struct hf_tokenizer *t, struct error *err)
{
    struct special_files f;
    bool there;
    return hf_json_file(m, "tokenizer_config.json", &f.tokenizer, &there, err) &&
           hf_json_file(m, "special_tokens_map.json", &f.map, &there, err) &&
           hf_json_file(m, "generation_config.json", &f.generation, &there, err) &&
           add_around(m, t, &f, err) && add_roles(m, t, &f, err) && add_ends(m, t, &f, err) &&
           add_templates(m, &f, err) && add_settings(m, f.generation, err);
}

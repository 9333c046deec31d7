/* fuzz_schema.c - changes schemas in thousands of ways, compiles each of them, and lets chance write texts under it.
 *
 * A schema is made from a seed by some changes: members moved to other places, doubled, dropped, values replaced. It is
 * compiled strictly or not, compact or not. A schema that is refused has a reason. A text is written byte by byte, each
 * one chosen by chance among those that the grammar allows: there is always one, and what ends is JSON.
 *
 * The schemas depend on their number alone: `fuzz_schema 1 4711` runs number 4711 again. FUZZ_FILES, or the first
 * argument, is how many there are.
 *
 *   fuzz_schema sample TEXTS   reads a schema a line, and prints for each a line: {"refused": reason} or
 *                              {"texts": [...], "cut": how many did not end}. tests/models/forms checks them.
 */
#include "berth/engine/grammar/grammar.h"
#include "berth/engine/grammar/sources.h"
#include "berth/server/openai/json_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MOST 3000
#define CHANGES_MOST 4
#define END 256
#define VOCABULARY 257

static uint64_t chance_state;

static uint64_t chance(void)
{
    uint64_t z = (chance_state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static size_t below(size_t n)
{
    return n ? (size_t)(chance() % n) : 0;
}

static const char *const seeds[] = {
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":20},"
    "\"age\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":150},\"tags\":{\"type\":\"array\",\"items\":"
    "{\"enum\":[\"a\",\"b\",3,null]},\"uniqueItems\":true}},\"required\":[\"name\"],\"additionalProperties\":false}",
    "{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"number\",\"exclusiveMinimum\":-1.5},"
    "\"next\":{\"anyOf\":[{\"$ref\":\"#/$defs/n\"},{\"type\":\"null\"}]}},\"required\":[\"next\"]}},"
    "\"$ref\":\"#/$defs/n\"}",
    "{\"oneOf\":[{\"properties\":{\"k\":{\"const\":\"x\"},\"a\":{\"multipleOf\":7,\"type\":\"integer\"}},"
    "\"required\":[\"k\",\"a\"]},{\"properties\":{\"k\":{\"const\":\"y\"}},\"required\":[\"k\"]}],\"type\":\"object\"}",
    "{\"type\":\"object\",\"patternProperties\":{\"^x-\":{\"type\":\"boolean\"},\"y$\":{\"maximum\":5}},"
    "\"additionalProperties\":{\"type\":[\"null\",\"string\"],\"pattern\":\"^[a-f]+(\\\\d|z)?$\"},"
    "\"propertyNames\":{\"maxLength\":6},\"minProperties\":1,\"maxProperties\":3}",
    "{\"allOf\":[{\"if\":{\"properties\":{\"a\":{\"const\":1}},\"required\":[\"a\"]},\"then\":{\"required\":"
    "[\"b\"]},\"else\":{\"properties\":{\"b\":false}}},{\"dependentRequired\":{\"b\":[\"c\"]}}],\"properties\":"
    "{\"a\":{\"enum\":[1,2]},\"b\":true,\"c\":{\"not\":{\"type\":[\"string\",\"object\"]}}}}",
    "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"string\",\"format\":\"date-time\"},{\"type\":\"number\","
    "\"multipleOf\":0.25}],\"items\":{\"not\":{\"const\":\"q\"}},\"minItems\":1,\"maxItems\":4,"
    "\"unevaluatedItems\":false}",
    "{\"contains\":{\"minimum\":10},\"minContains\":2,\"maxContains\":3,\"items\":{\"type\":\"integer\"}}",
};

/* ---- changes ---- */

/* All maps and lists of a tree, to `most`. */
static size_t collect(json_t *json, json_t **out, size_t n, size_t most)
{
    const char *key;
    json_t *member;
    size_t i;
    if (n == most || !(json_is_object(json) || json_is_array(json)))
        return n;
    out[n++] = json;
    json_object_foreach(json, key, member) n = collect(member, out, n, most);
    json_array_foreach(json, i, member) n = collect(member, out, n, most);
    return n;
}

/* Pieces of a regular expression, most often a wrong one. It ends where its block ends. */
static json_t *any_pattern(void)
{
    static const char *const pieces[] = {"(", ")", "[", "]", "^", "$", "|", "*", "+", "?", "\\", ".", "-",
        "{", "}", "{2,3}", ",", "a", "b", "é", "\\d", "\\W", "\\s", "(?:", "(?P<n>", "\\u00", "\\x4", "1",
        "[^", "\\Z", "\""};
    char text[100] = "";
    for (size_t n = below(12); n--;)
        strcat(text, pieces[below(sizeof(pieces) / sizeof(pieces[0]))]);
    return json_string(text);
}

static json_t *any_value(json_t *const *nodes, size_t n)
{
    static const char *const values[] = {"true", "false", "null", "0", "-3", "1e300", "\"\"", "\"#\"",
        "\"[a-z\"", "\"^(a|b)*$\"", "[]", "{}", "[\"a\",\"k\"]", "{\"not\":{}}", "1000000", "\"#/$defs/n\"",
        "0.1", "{\"type\":\"string\"}", "\"integer\"", "{\"$ref\":\"#\"}",
        "[{\"const\":1},{\"minLength\":2}]"};
    if (below(8) == 0)
        return any_pattern();
    if (below(2))
        return json_deep_copy(nodes[below(n)]);
    return json_loads(values[below(sizeof(values) / sizeof(values[0]))], JSON_DECODE_ANY, NULL);
}

static const char *any_keyword(void)
{
    static const char *const names[] = {"type", "properties", "required", "items", "enum", "const", "anyOf",
        "allOf", "oneOf", "not", "if", "then", "else", "minimum", "maximum", "multipleOf", "pattern",
        "format", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "additionalProperties",
        "patternProperties", "propertyNames", "minProperties", "maxProperties", "contains", "minContains",
        "maxContains", "prefixItems", "dependentRequired", "dependentSchemas", "unevaluatedProperties",
        "unevaluatedItems", "$ref", "$id", "$anchor", "nullable", "exclusiveMinimum", "exclusiveMaximum",
        "$schema", "additionalItems"};
    return names[below(sizeof(names) / sizeof(names[0]))];
}

static void change(json_t *schema)
{
    json_t *nodes[200];
    size_t n = collect(schema, nodes, 0, 200);
    json_t *at = nodes[below(n)], *value = any_value(nodes, n);
    if (json_is_array(at)) {
        if (below(3) && json_array_size(at))
            json_array_remove(at, below(json_array_size(at)));
        else
            json_array_append(at, value);
    } else if (below(4) || !json_object_size(at)) {
        const char *keyword = any_keyword();
        json_object_set(at, json_is_string(value) && below(2) ? "pattern" : keyword, value);
    } else {
        void *member = json_object_iter(at);
        for (size_t skip = below(json_object_size(at)); skip--;)
            member = json_object_iter_next(at, member);
        json_object_set(at, json_object_iter_key(member), value);
    }
    json_decref(value);
}

/* ---- texts ---- */

static enum token_class read_token(void *context, int32_t id, struct strbuf *out)
{
    uint8_t byte = (uint8_t)id;
    (void)context;
    strbuf_add(out, id == END ? span_of("<end>") : (struct span){&byte, 1});
    return id == END ? TOKEN_END : TOKEN_TEXT;
}

/* The next token: now and then one that closes something, so that texts end. -1: none is allowed. */
static int32_t choose(struct grammar_matcher *m)
{
    static const int32_t closers[] = {END, '"', '}', ']'};
    float logits[VOCABULARY] = {0};
    size_t n = grammar_matcher_mask(m, logits, VOCABULARY), pick = below(n);
    if (n == 0)
        return -1;
    for (size_t i = 0; i < 4; i++)
        if (logits[closers[i]] >= 0 && below(5) < 2)
            return closers[i];
    for (int32_t id = 0; id < VOCABULARY; id++)
        if (logits[id] >= 0 && pick-- == 0)
            return id;
    return -1;
}

/* Writes a text into out[TEXT_MOST]. Returns its size, 0 when it was cut; a text that cannot go on ends the program. */
static size_t write_text(struct grammar *g, const struct token_trie *trie, char *out)
{
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    struct grammar_matcher *m = grammar_matcher_new(g, trie);
    size_t n = 0, back;
    if (!m)
        exit(2);
    while (n < TEXT_MOST) {
        int32_t token = choose(m);
        if (token == END)
            break;
        if (token < 0) {
            printf("FAILED: nothing is allowed after: %.*s\n", (int)n, out);
            exit(1);
        }
        grammar_matcher_accept(m, token, runs, &back);
        out[n++] = (char)token;
    }
    grammar_matcher_free(m);
    return n < TEXT_MOST ? n : 0;
}

static struct grammar *compile(const json_t *schema, const struct json_schema_options *o, struct error *err)
{
    struct json_notes notes;
    struct value v = value_undefined;
    struct value_arena *arena = value_arena_new((size_t)1 << 24);
    struct grammar_builder *b = grammar_builder_new(0);
    if (!arena || !b)
        exit(2);
    struct grammar *g = NULL;
    if (json_to_value(arena, schema, &v, err)) {
        grammar_node root = grammar_json_schema(b, v, o, &notes);
        g = grammar_build(b, root, err);
    }
    grammar_builder_free(b);
    value_arena_free(arena);
    return g;
}

/* False, with the reason printed, when something is wrong. */
static bool run(uint64_t number, const struct token_trie *trie, size_t *compiled, size_t *written)
{
    char text[TEXT_MOST];
    struct error err = {0};
    chance_state = number * 2654435761u;
    json_t *schema = json_loads(seeds[below(sizeof(seeds) / sizeof(seeds[0]))], 0, NULL);
    for (size_t changes = below(CHANGES_MOST + 1); changes--;)
        change(schema);
    struct json_schema_options o = {.strict = below(2), .compact = below(2)};
    struct grammar *g = compile(schema, &o, &err);
    bool good = g || err.text[0];
    if (!good)
        printf("FAILED: %llu: refused without a reason\n", (unsigned long long)number);
    for (int i = 0; g && good && i < 3; i++) {
        json_error_t why;
        size_t size = write_text(g, trie, text);
        json_t *json = size ? json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why) : NULL;
        good = !size || json || strstr(why.text, "\\u0000") || strstr(why.text, "too big");
        if (!good)
            printf("FAILED: %llu: %s: %.*s\n", (unsigned long long)number, why.text, (int)size, text);
        *written += size > 0;
        json_decref(json);
    }
    *compiled += g != NULL;
    grammar_drop(g);
    json_decref(schema);
    return good;
}

/* ---- for tests/models/forms ---- */

static json_t *sample_one(const char *line, const struct token_trie *trie, int texts)
{
    char text[TEXT_MOST];
    struct error err = {0};
    struct json_schema_options o = {.strict = true};
    json_t *schema = json_loads(line, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL), *list = json_array();
    struct grammar *g = schema ? compile(schema, &o, &err) : NULL;
    int cut = 0;
    json_decref(schema);
    if (!g) {
        json_decref(list);
        return json_pack("{s:s}", "refused", err.text[0] ? err.text : "not JSON");
    }
    for (int i = 0; i < texts; i++) {
        size_t size = write_text(g, trie, text);
        if (size)
            json_array_append_new(list, json_stringn(text, size));
        cut += !size;
    }
    grammar_drop(g);
    return json_pack("{s:o,s:i}", "texts", list, "cut", cut);
}

static int sample(int texts, const struct token_trie *trie)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        json_t *said = sample_one(line, trie, texts);
        json_dumpf(said, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        putchar('\n');
        json_decref(said);
    }
    free(line);
    return 0;
}

int main(int argc, char **argv)
{
    const char *files = getenv("FUZZ_FILES");
    struct error err = {0};
    struct token_trie *trie = token_trie_new(VOCABULARY, read_token, NULL, &err);
    if (!trie)
        return 2;
    if (argc > 2 && strcmp(argv[1], "sample") == 0) {
        int status = sample(atoi(argv[2]), trie);
        token_trie_free(trie);
        return status;
    }
    size_t n = strtoul(argc > 1 ? argv[1] : files ? files : "20000", NULL, 10);
    size_t first = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, compiled = 0, written = 0, failed = 0;
    for (size_t i = 0; i < n; i++)
        failed += !run(first + i, trie, &compiled, &written);
    token_trie_free(trie);
    if (n > 1000 && (compiled < n / 4 || compiled == n || written == 0)) {
        printf("FAILED: of %zu schemas %zu were compiled and %zu texts ended\n", n, compiled, written);
        failed++;
    }
    printf("%zu schemas, %zu compiled, %zu texts\n", n, compiled, written);
    printf("%zu passed, %zu failed, 0 skipped\n", n - failed, failed);
    return failed > 0;
}

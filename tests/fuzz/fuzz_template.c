/* fuzz_template.c - changes templates in thousands of ways and runs each of them.
 *
 * A template is made from a model's, or from a line of the language's tests, by some changes: pieces cut, doubled, or copied
 * from another one, bytes set. It is read from a block that ends where it ends, so that a sanitizer detects an access
 * outside. A template that is refused must have a reason. A rendered text must be UTF-8 with an origin for each byte.
 *
 * The templates depend on their number alone: `fuzz_template 1 4711` runs number 4711 again. FUZZ_FILES, or
 * the first argument, is how many there are.
 */
#include "berth/server/api/json_value.h"
#include "berth/engine/template/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "tests/vectors/template/"
#define SIZE_MOST 16384
#define SEEDS_MOST 400
#define CHANGES_MOST 5

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

static struct span seeds[SEEDS_MOST];
static size_t n_seeds;

static void add_seed(const json_t *text)
{
    if (n_seeds < SEEDS_MOST && json_string_length(text) < SIZE_MOST / 2)
        seeds[n_seeds++] = (struct span){(const uint8_t *)json_string_value(text), json_string_length(text)};
}

static void add_file(const char *name)
{
    char path[300];
    snprintf(path, sizeof(path), FOLDER "%s", name);
    FILE *file = fopen(path, "rb");
    uint8_t *text = file ? malloc(SIZE_MOST) : NULL;
    if (text && n_seeds < SEEDS_MOST)
        seeds[n_seeds++] = (struct span){text, fread(text, 1, SIZE_MOST / 2, file)};
    if (file)
        fclose(file);
}

/* Puts bytes [from, from + n) of `other` at `at`, in place of `out` bytes there. */
static size_t splice(uint8_t *text, size_t size, size_t at, size_t out, struct span other)
{
    if (out > size - at)
        out = size - at;
    if (size - out + other.size > SIZE_MOST)
        return size;
    memmove(text + at + other.size, text + at + out, size - at - out);
    if (other.size > 0)
        memcpy(text + at, other.at, other.size);
    return size - out + other.size;
}

static size_t change(uint8_t *text, size_t size)
{
    static const char *const pieces[] = {"{{", "}}", "{%", "%}", "-", "+", "|", "(", ")", "[", "]", "not ",
        "99999999999", "'", "\"", "{#", "#}", "{% raw %}", "loop", "messages", "\xc3", "\xf0\x9f\x8e\x88",
        "\n", ".", "~", "in ", "1"};
    uint8_t copy[512];
    const struct span *seed = &seeds[below(n_seeds)];
    size_t at = below(size + 1), from = below(seed->size), n = below(60);
    switch (below(5)) {
    case 0:
        return splice(text, size, at, below(30), (struct span){NULL, 0});
    case 1:
        return splice(text, size, at, below(8), span_of(pieces[below(sizeof(pieces) / sizeof(pieces[0]))]));
    case 2:
        if (at < size)
            text[at] = (uint8_t)chance();
        return size;
    case 3:
        n = n > size - at ? size - at : n;
        memcpy(copy, text + at, n);
        return splice(text, size, below(size), 0, (struct span){copy, n});
    default:
        n = n > seed->size - from ? seed->size - from : n;
        return splice(text, size, at, below(20), (struct span){seed->at + from, n});
    }
}

static bool sound(const struct template_text *t)
{
    for (size_t at = 0, size; at < t->size; at += size) {
        size = text_character((struct span){(const uint8_t *)t->text + at, t->size - at});
        if (size == 0 || t->marks[at] > VALUE_FROM_MODEL)
            return false;
    }
    return t->text[t->size] == '\0';
}

/* False when a promise is broken. */
static bool try_one(uint64_t number, const json_t *request, size_t *rendered)
{
    static const struct template_limits small = {
        .steps = 100000, .memory = (size_t)4 << 20, .output = 200000};
    static uint8_t text[SIZE_MOST];
    struct error err = {0};
    struct template_text out = {0};
    struct value vars;
    chance_state = number;
    struct span seed = seeds[below(n_seeds)];
    size_t size = seed.size;
    memcpy(text, seed.at, size);
    for (size_t i = 1 + below(CHANGES_MOST); i > 0; i--)
        size = change(text, size);
    uint8_t *exact = malloc(size + (size == 0));
    memcpy(exact, text, size);
    struct template *t = template_parse((struct span){exact, size}, &err);
    free(exact);
    struct value_arena *a = value_arena_new((size_t)1 << 20);
    bool good = t &&
                json_chat_variables(a, request, value_literal("<s>"), value_literal("</s>"), &vars, &err) &&
                template_render(t, vars, 0, &small, &out, &err);
    bool kept = good ? sound(&out) : err.text[0] != '\0' && !out.text;
    *rendered += good;
    template_text_release(&out);
    template_free(t);
    value_arena_free(a);
    return kept;
}

int main(int argc, char **argv)
{
    static const char *const files[] = {"smollm2.jinja", "llama2.jinja", "llama3.1.jinja",
        "mistral-v0.3.jinja", "qwen2.5.jinja", "gemma2.jinja", "phi3.jinja"};
    const char *asked = argc > 1 ? argv[1] : getenv("FUZZ_FILES");
    uint64_t n = asked ? strtoull(asked, NULL, 10) : 20000,
             first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    json_t *requests = json_load_file(FOLDER "requests.json", 0, NULL);
    json_t *expected = json_load_file(FOLDER "expected.json", JSON_ALLOW_NUL, NULL), *row;
    const json_t *request = json_object_get(requests, "tools");
    size_t i, rendered = 0, failed = 0;
    json_array_foreach(json_object_get(expected, "language"), i, row)
        add_seed(json_object_get(row, "source"));
    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        add_file(files[i]);
    if (!request || n_seeds < 50) {
        puts("FAILED: the templates in " FOLDER " cannot be read");
        puts("0 passed, 1 failed, 0 skipped");
        return 1;
    }
    for (uint64_t number = first; number < first + n; number++)
        if (!try_one(number, request, &rendered)) {
            printf("FAILED: number %llu\n", (unsigned long long)number);
            failed++;
        }
    json_decref(requests);
    json_decref(expected);
    printf("%zu of %llu templates were rendered\n", rendered, (unsigned long long)n);
    /* All templates count as one test, so that the other suites still matter in the sum. */
    printf("%d passed, %d failed, 0 skipped\n", failed == 0, failed > 0);
    return failed > 0;
}

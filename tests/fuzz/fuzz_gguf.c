/* fuzz_gguf.c - changes valid GGUF files in thousands of ways and reads each of them.
 *
 * A file is made from one of a few seeds by some changes: bits inverted, integers of its tables set to values at limits,
 * bytes cut, doubled or copied from elsewhere. It is read from a block that ends where the file ends, so that a sanitizer
 * detects an access outside. A file that is refused must have a reason. Of a file that is accepted everything that gguf.h
 * promises is checked and read.
 *
 * The files depend on their number alone: `fuzz_gguf 1 4711` reads number 4711 again. FUZZ_FILES, or the
 * first argument, is how many are read. Files in tests/fuzz/corpus are read first.
 */
#include "berth/loaders/gguf.h"
#include "gguf_writer.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORPUS "tests/fuzz/corpus"
#define CHANGES_MAX 4
#define GROWTH 256 /* bytes that the changes may add to a seed */

static volatile uint64_t seen; /* bytes that were read are added here, so that the compiler keeps the reads */

/* --- Random numbers --- */

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

/* --- Seeds: valid files of several shapes --- */

static void seed_smallest(struct writer *w)
{
    write_header(w, 3, 0, 0);
}

static void seed_scalars(struct writer *w)
{
    static const enum gguf_type types[] = {GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32,
        GGUF_BOOL, GGUF_U64, GGUF_I64, GGUF_F64};
    const size_t n = sizeof(types) / sizeof(types[0]);
    write_header(w, 2, 0, n + 1);
    for (size_t i = 0; i < n; i++)
        write_pair_integer(w, gguf_type_name(types[i]), types[i], 1);
    write_pair_text(w, "text", "some text");
}

static void seed_arrays(struct writer *w)
{
    write_header(w, 3, 0, 5);
    write_pair_array(w, "tokens", GGUF_STRING, 4);
    write_text(w, "a");
    write_text(w, "");
    write_text(w, "longer than the others");
    write_text(w, "\xc4\xa0");
    write_pair_array(w, "scores", GGUF_F32, 3);
    write_zeros(w, 12);
    write_pair_array(w, "flags", GGUF_BOOL, 5);
    write_bytes(w, "\0\1\0\1\1", 5);
    write_pair_array(w, "empty", GGUF_U64, 0);
    write_pair_array(w, "sizes", GGUF_I16, 2);
    write_zeros(w, 4);
}

static void seed_tensors(struct writer *w)
{
    write_header(w, 3, 4, 2);
    write_pair_text(w, "general.architecture", "llama");
    write_pair_u32(w, "llama.context_length", 512);
    write_tensor(w, "token_embd.weight", DIMS(32, 4), TENSOR_Q4_0, 0);
    write_tensor(w, "blk.0.norm", DIMS(3), TENSOR_F32, 96);
    write_tensor(w, "blk.0.cube", DIMS(2, 3, 4, 1), TENSOR_F16, 128);
    write_tensor(w, "scale", (const uint64_t[]){0}, TENSOR_F32, 192);
    write_padding(w, 32);
    write_zeros(w, 192 + 4);
}

static void seed_aligned(struct writer *w)
{
    write_header(w, 2, 2, 1);
    write_pair_u32(w, "general.alignment", 8);
    write_tensor(w, "a", DIMS(256), TENSOR_Q4_K, 0);
    write_tensor(w, "b", DIMS(5), TENSOR_I8, 144);
    write_padding(w, 8);
    write_zeros(w, 144 + 8);
}

static void (*const seeds[])(struct writer *w) = {
    seed_smallest, seed_scalars, seed_arrays, seed_tensors, seed_aligned};
enum { N_SEEDS = sizeof(seeds) / sizeof(seeds[0]) };

/* --- Changes. Each gets a file of `size` bytes in a block with room for more, and returns its new size.
 * --- */

static size_t turn_a_bit(const struct writer *seed, uint8_t *file, size_t size)
{
    (void)seed;
    if (size)
        file[below(size)] ^= (uint8_t)(1u << below(8));
    return size;
}

static size_t set_a_byte(const struct writer *seed, uint8_t *file, size_t size)
{
    (void)seed;
    if (size)
        file[below(size)] = (uint8_t)chance();
    return size;
}

static uint64_t border_value(void)
{
    uint64_t power = (uint64_t)1 << below(64);
    switch (below(6)) {
    case 0:
        return power;
    case 1:
        return power - 1;
    case 2:
        return ~power;
    case 3:
        return UINT64_MAX - below(64);
    default:
        return below(64);
    }
}

static size_t set_a_field(const struct writer *seed, uint8_t *file, size_t size)
{
    size_t i = below(seed->n_fields);
    uint64_t value = border_value();
    for (size_t b = 0; b < seed->fields[i].size && seed->fields[i].at + b < size; b++)
        file[seed->fields[i].at + b] = (uint8_t)(value >> (8 * b));
    return size;
}

static size_t nudge_a_field(const struct writer *seed, uint8_t *file, size_t size)
{
    size_t at = seed->fields[below(seed->n_fields)].at;
    if (at < size)
        file[at] = (uint8_t)(file[at] + (below(2) ? 1 : 0xff));
    return size;
}

static size_t cut(const struct writer *seed, uint8_t *file, size_t size)
{
    (void)seed, (void)file;
    return below(size + 1);
}

static size_t copy_within(const struct writer *seed, uint8_t *file, size_t size)
{
    (void)seed;
    size_t from = below(size), to = below(size), most = size - (from > to ? from : to);
    memmove(file + to, file + from, below(most + 1));
    return size;
}

static size_t double_a_stretch(const struct writer *seed, uint8_t *file, size_t size)
{
    (void)seed;
    size_t from = below(size), most = size - from < GROWTH / CHANGES_MAX ? size - from : GROWTH / CHANGES_MAX;
    size_t stretch = below(most + 1);
    memmove(file + from + stretch, file + from, size - from);
    return size + stretch;
}

static size_t remove_a_stretch(const struct writer *seed, uint8_t *file, size_t size)
{
    (void)seed;
    size_t from = below(size), stretch = below(size - from < 32 ? size - from + 1 : 32);
    memmove(file + from, file + from + stretch, size - from - stretch);
    return size - stretch;
}

static size_t take_from_another(const struct writer *seed, uint8_t *file, size_t size)
{
    (void)seed;
    struct writer other = {0};
    seeds[below(N_SEEDS)](&other);
    size_t from = below(other.size), to = below(size);
    size_t most = other.size - from < size - to ? other.size - from : size - to;
    memcpy(file + to, other.at + from, below(most + 1));
    writer_release(&other);
    return size;
}

typedef size_t change(const struct writer *seed, uint8_t *file, size_t size);

static change *const changes[] = {turn_a_bit, set_a_byte, set_a_field, set_a_field, set_a_field,
    nudge_a_field, nudge_a_field, cut, copy_within, double_a_stretch, remove_a_stretch, take_from_another};

static struct span make_file(uint64_t number)
{
    chance_state = number * 0x2545f4914f6cdd1d;
    struct writer seed = {0};
    seeds[below(N_SEEDS)](&seed);
    size_t size = seed.size;
    uint8_t *room = calloc(1, size + GROWTH);
    if (!room)
        abort();
    memcpy(room, seed.at, size);
    for (size_t n = 1 + below(CHANGES_MAX); n > 0 && size > 0; n--)
        size = changes[below(sizeof(changes) / sizeof(changes[0]))](&seed, room, size);
    writer_release(&seed);
    return (struct span){room, size};
}

/* --- Checks --- */

static void touch(struct span s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s.size; i++)
        sum += s.at[i];
    seen += sum;
}

static bool lies_in(struct span part, struct span whole)
{
    if (part.size == 0)
        return true;
    return part.at >= whole.at && part.size <= whole.size &&
           (size_t)(part.at - whole.at) <= whole.size - part.size;
}

/* Looks the key up by every function. Its bytes are no C string, and may have a NUL. */
static void ask(const struct gguf *g, struct span key)
{
    char *name = calloc(1, key.size + 1);
    if (!name)
        abort();
    memcpy(name, key.at, key.size);
    struct error err = {0};
    uint64_t integer;
    double number;
    bool truth;
    struct span text = {0};
    seen += checkpoint_get_u64(&g->checkpoint, name, &integer, &err) +
            (unsigned)checkpoint_get_f64(&g->checkpoint, name, &number, &err);
    seen += checkpoint_get_bool(&g->checkpoint, name, &truth, &err) +
            (unsigned)checkpoint_get_text(&g->checkpoint, name, &text, &err);
    seen += checkpoint_tensor(&g->checkpoint, name) != NULL;
    touch(text);
    free(name);
}

static bool check_pair(const struct gguf *g, const struct gguf_pair *p, struct span file)
{
    if (!lies_in(p->key, file) || !lies_in(p->bytes, file) || p->type >= GGUF_TYPES || p->item >= GGUF_TYPES)
        return false;
    touch(p->key);
    touch(p->bytes);
    ask(g, p->key);
    if (p->type != GGUF_ARRAY || p->item != GGUF_STRING)
        return true;
    size_t pos = 0;
    for (uint64_t i = 0; i < p->count; i++) {
        struct span s = checkpoint_next_string(p->bytes, &pos);
        if (!lies_in(s, p->bytes))
            return false;
        touch(s);
    }
    return pos == p->bytes.size;
}

/* `end` is where the tensor before ended. */
static bool check_tensor(const struct gguf *g, const struct tensor *t, struct span file, uint64_t *end)
{
    struct span data = {t->data, (size_t)t->size};
    bool good = lies_in(t->name, file) && lies_in(data, file) && t->data == file.at + t->offset &&
                t->size > 0 && t->offset >= *end && (t->offset - g->data_offset) % g->alignment == 0 &&
                t->elems / t->type->block_elems * t->type->block_bytes == t->size &&
                t->elems == t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
    *end = t->offset + t->size;
    if (good)
        touch(data);
    return good;
}

static bool check_accepted(const struct gguf *g, struct span file)
{
    uint64_t end = g->data_offset;
    for (size_t i = 0; i < g->n_pairs; i++)
        if (!check_pair(g, &g->pairs[i], file))
            return false;
    for (size_t i = 0; i < g->checkpoint.n_tensors; i++)
        if (!check_tensor(g, &g->checkpoint.tensors[i], file, &end))
            return false;
    for (size_t i = 1; i < g->n_pairs; i++)
        if (span_compare(g->checkpoint.values[i - 1].key, g->checkpoint.values[i].key) >= 0)
            return false;
    for (size_t i = 1; i < g->checkpoint.n_tensors; i++)
        if (span_compare(g->checkpoint.by_name[i - 1]->name, g->checkpoint.by_name[i]->name) >= 0)
            return false;
    return true;
}

struct tally {
    uint64_t read, accepted, failed;
};

/* Reads a copy that ends where the file ends. */
static void try_file(struct tally *tally, const char *name, struct span file)
{
    uint8_t *copy = malloc(file.size + (file.size == 0));
    if (!copy)
        abort();
    if (file.size)
        memcpy(copy, file.at, file.size);
    struct span exact = {copy, file.size};
    struct error err = {0};
    struct gguf *g = gguf_read(exact, &err);
    bool good = g ? check_accepted(g, exact) && !err.text[0] : err.text[0] != '\0';
    if (!good)
        printf(
            "fuzz_gguf: %s: %s\n", name, g ? "accepted, but breaks a promise" : "refused without a reason");
    tally->read++;
    tally->accepted += g != NULL;
    tally->failed += !good;
    gguf_free(g);
    free(copy);
}

static void try_corpus_file(struct tally *tally, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", CORPUS, name);
    FILE *f = fopen(path, "rb");
    static uint8_t bytes[1 << 20];
    size_t size = f ? fread(bytes, 1, sizeof(bytes), f) : 0;
    if (f)
        fclose(f);
    try_file(tally, path, (struct span){bytes, size});
}

static void try_corpus(struct tally *tally)
{
    DIR *d = opendir(CORPUS);
    const struct dirent *e;
    while (d && (e = readdir(d)) != NULL)
        if (e->d_name[0] != '.')
            try_corpus_file(tally, e->d_name);
    if (d)
        closedir(d);
}

/* Fails when all files fail at the first field, or all pass, because that would test little. */
static void check_mixture(struct tally *tally)
{
    uint64_t refused = tally->read - tally->accepted;
    if (tally->read < 1000 || (tally->accepted > tally->read / 50 && refused > tally->read / 50))
        return;
    printf("fuzz_gguf: %" PRIu64 " of %" PRIu64 " files accepted: too one-sided\n", tally->accepted,
        tally->read);
    tally->failed++;
}

int main(int argc, char **argv)
{
    const char *count = argc > 1 ? argv[1] : getenv("FUZZ_FILES");
    uint64_t n = count ? strtoull(count, NULL, 10) : 20000;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct tally tally = {0};
    try_corpus(&tally);
    for (uint64_t number = first; number < first + n; number++) {
        char name[32];
        snprintf(name, sizeof(name), "number %" PRIu64, number);
        struct span file = make_file(number);
        try_file(&tally, name, file);
        free((void *)(uintptr_t)file.at);
    }
    check_mixture(&tally);
    printf("fuzz_gguf: %" PRIu64 " files, %" PRIu64 " accepted\n", tally.read, tally.accepted);
    bool good = tally.failed == 0 && tally.read > 0;
    /* All files count as one test, so that the other suites still matter in the sum. */
    printf("%d passed, %d failed, 0 skipped\n", good, !good);
    return !good;
}

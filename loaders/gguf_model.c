/* gguf_model.c - a model in the GGUF format: its files, and what they say of it.
 *
 * A large model may be split over files NAME-00001-of-00003.gguf. Each is a GGUF file of its own, with its
 * own tensors; the first holds the model's keys. The name and the keys (split.no, split.count,
 * split.tensors.count) tell the same twice, and have to agree: a part of another model, or of another run
 * of the splitter, fits by name alone. So do the parts' tensors, of which none may appear twice.
 *
 * What is said of the model is read from keys where there are keys, and counted from tensors otherwise. A
 * file without tensors (a vocabulary) is a valid model that can do nothing.
 */
#include "berth/loaders/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHOWN 128 /* room for a path or a name in a message */
#define KEY_ROOM 128

/* --- The parts of a split model --- */

/* What the name of a part says. */
struct part_name {
    size_t number_at; /* where in the path the part's five digits stand */
    unsigned number; /* from 1 */
    unsigned count;
};

static bool five_digits(const char *at, unsigned *value)
{
    *value = 0;
    for (int i = 0; i < 5; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        *value = *value * 10 + (unsigned)(at[i] - '0');
    }
    return true;
}

/* Whether `path` ends in -00001-of-00003.gguf. */
static bool part_name_read(struct part_name *p, const char *path)
{
    const size_t tail_size = strlen("-00001-of-00003.gguf");
    size_t size = strlen(path);
    if (size < tail_size)
        return false;
    const char *tail = path + size - tail_size;
    p->number_at = size - tail_size + 1;
    return tail[0] == '-' && five_digits(tail + 1, &p->number) && strncmp(tail + 6, "-of-", 4) == 0 &&
           five_digits(tail + 10, &p->count) && strcasecmp(tail + 15, ".gguf") == 0;
}

/* A key of a part that has to be there and to have this value. */
static bool check_split_key(const struct gguf *g, const char *key, uint64_t expected, struct error *err)
{
    uint64_t value = 0;
    enum gguf_got got = gguf_get_u64(g, key, &value, err);
    if (got == GGUF_WRONG)
        return false;
    if (got == GGUF_ABSENT)
        return error_set(err, "has no key \"%s\", so it is no part of a split model", key);
    if (value != expected)
        return error_set(err, "key \"%s\" is %" PRIu64 "; %" PRIu64 " is needed", key, value, expected);
    return true;
}

/* Maps and reads part number `i` (from 0) and appends it to the model. */
static bool add_part(
    struct loaded *l, const struct volume *v, const char *path, size_t i, size_t count, struct error *err)
{
    struct gguf_model *m = l->parsed;
    struct mapping *map = loaded_add_file(l, v, path, err);
    if (!map)
        return false;
    struct gguf *g = gguf_read(mapping_bytes(map), err);
    if (g)
        m->files[m->n_files++] = g;
    if (g && check_split_key(g, "split.no", i, err) && check_split_key(g, "split.count", count, err))
        return true;
    char shown[SHOWN];
    text_escape(shown, sizeof(shown), span_of(path));
    return error_prefix(err, "%s", shown);
}

static bool add_parts(struct loaded *l, const struct volume *v, const char *path,
    const struct part_name *name, struct error *err)
{
    char *part = strdup(path);
    if (!part)
        return error_set(err, "no memory");
    bool good = true;
    for (size_t i = 1; i < name->count && good; i++) {
        char digits[16];
        snprintf(digits, sizeof(digits), "%05zu", i + 1);
        memcpy(part + name->number_at, digits, 5);
        good = add_part(l, v, part, i, name->count, err);
    }
    free(part);
    return good;
}

static int compare_names(const void *a, const void *b)
{
    const struct tensor *const *x = a, *const *y = b;
    return span_compare((*x)->name, (*y)->name);
}

static bool check_no_twins(const struct tensor **all, size_t n, struct error *err)
{
    qsort(all, n, sizeof(*all), compare_names);
    for (size_t i = 1; i < n; i++) {
        if (span_compare(all[i - 1]->name, all[i]->name) != 0)
            continue;
        char shown[SHOWN];
        text_escape(shown, sizeof(shown), all[i]->name);
        return error_set(err, "tensor \"%s\" appears in two of the parts", shown);
    }
    return true;
}

/* Within a part, gguf_read has seen to it; between them it is checked here. */
static bool check_tensors_once(const struct gguf_model *m, struct error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_files; i++)
        n += m->files[i]->n_tensors;
    const struct tensor **all = calloc(n + 1, sizeof(*all));
    if (!all)
        return error_set(err, "no memory");
    n = 0;
    for (size_t i = 0; i < m->n_files; i++)
        for (size_t t = 0; t < m->files[i]->n_tensors; t++)
            all[n++] = &m->files[i]->tensors[t];
    bool good = check_no_twins(all, n, err);
    free(all);

    uint64_t expected = n;
    if (good && gguf_get_u64(m->files[0], "split.tensors.count", &expected, err) == GGUF_WRONG)
        return false;
    if (good && expected != n)
        return error_set(err,
            "key \"split.tensors.count\" is %" PRIu64 ", but the %zu parts hold %zu tensors", expected,
            m->n_files, n);
    return good;
}

/* Whether the first file, by its name and its keys, is the first part of `count`. */
static bool check_first_part(const struct part_name *name, uint64_t count, struct error *err)
{
    if (name->count != count)
        return error_set(
            err, "key \"split.count\" is %" PRIu64 ", but the file's name says %u parts", count, name->count);
    if (name->number == 1)
        return true;
    return error_set(err, "is part %u of %u; open the first part", name->number, name->count);
}

static bool read_parts(
    struct loaded *l, const struct volume *v, const char *path, uint64_t count, struct error *err)
{
    struct gguf_model *m = l->parsed;
    struct part_name name;
    if (!part_name_read(&name, path))
        return error_set(err,
            "key \"split.count\" is %" PRIu64
            ", but the file is not named as a part of a split model is: NAME-00001-of-%05" PRIu64 ".gguf",
            count, count);
    if (!check_first_part(&name, count, err) || !check_split_key(m->files[0], "split.no", 0, err))
        return false;
    struct gguf **files = realloc(m->files, name.count * sizeof(struct gguf *));
    if (!files)
        return error_set(err, "no memory");
    m->files = files;
    return add_parts(l, v, path, &name, err) && check_tensors_once(m, err);
}

static bool read_files(struct loaded *l, const struct volume *v, const char *path, struct error *err)
{
    struct gguf_model *m = l->parsed = calloc(1, sizeof(*m));
    if (m)
        m->files = calloc(1, sizeof(struct gguf *));
    if (!m || !m->files)
        return error_set(err, "no memory");
    m->files[0] = gguf_read(mapping_bytes(l->maps[0]), err);
    if (!m->files[0])
        return false;
    m->n_files = 1;
    /* A model that was split once and merged again says 0. */
    uint64_t count = 1;
    if (gguf_get_u64(m->files[0], "split.count", &count, err) == GGUF_WRONG)
        return false;
    struct part_name name;
    if (count <= 1 && part_name_read(&name, path) && name.count > 1)
        return error_set(err, "is named as part %u of %u, but has no key \"split.count\" that says so",
            name.number, name.count);
    return count <= 1 || read_parts(l, v, path, count, err);
}

/* --- What the model says of itself --- */

static bool describe_text(const struct gguf *g, const char *key, char *out, size_t size, struct error *err)
{
    struct span text;
    enum gguf_got got = gguf_get_text(g, key, &text, err);
    if (got == GGUF_GOT)
        text_escape(out, size, text);
    return got != GGUF_WRONG;
}

/* The value of "ARCHITECTURE.`what`" in `out`, which stays as it is when there is none. */
static bool describe_number(const struct gguf *g, const char *what, uint64_t *out, struct error *err)
{
    struct span arch = {0};
    char key[KEY_ROOM];
    if (gguf_get_text(g, "general.architecture", &arch, err) != GGUF_GOT || arch.size > KEY_ROOM / 2)
        return true;
    snprintf(key, sizeof(key), "%.*s.%s", (int)arch.size, (const char *)arch.at, what);
    return gguf_get_u64(g, key, out, err) != GGUF_WRONG;
}

/* The names of mixtures, by their number in general.file_type. Gaps are numbers that were given up. */
static const char *const file_types[] = {
    [0] = "F32",
    [1] = "F16",
    [2] = "Q4_0",
    [3] = "Q4_1",
    [7] = "Q8_0",
    [8] = "Q5_0",
    [9] = "Q5_1",
    [10] = "Q2_K",
    [11] = "Q3_K_S",
    [12] = "Q3_K_M",
    [13] = "Q3_K_L",
    [14] = "Q4_K_S",
    [15] = "Q4_K_M",
    [16] = "Q5_K_S",
    [17] = "Q5_K_M",
    [18] = "Q6_K",
    [19] = "IQ2_XXS",
    [20] = "IQ2_XS",
    [21] = "Q2_K_S",
    [22] = "IQ3_XS",
    [23] = "IQ3_XXS",
    [24] = "IQ1_S",
    [25] = "IQ4_NL",
    [26] = "IQ3_S",
    [27] = "IQ3_M",
    [28] = "IQ2_S",
    [29] = "IQ2_M",
    [30] = "IQ4_XS",
    [31] = "IQ1_M",
    [32] = "BF16",
    [36] = "TQ1_0",
    [37] = "TQ2_0",
    [38] = "MXFP4",
    [39] = "NVFP4",
    [40] = "Q1_0",
    [41] = "Q2_0",
};

/* The type that most bytes of the model are stored in; NULL without tensors. */
static const char *heaviest_type(const struct gguf_model *m)
{
    const struct tensor_type *heaviest = NULL;
    uint64_t bytes[64] = {0}; /* by type id */
    for (size_t i = 0; i < m->n_files; i++) {
        for (size_t t = 0; t < m->files[i]->n_tensors; t++) {
            const struct tensor *tensor = &m->files[i]->tensors[t];
            uint64_t *sum = &bytes[tensor->type->id % 64];
            *sum += tensor->size;
            if (!heaviest || *sum > bytes[heaviest->id % 64])
                heaviest = tensor->type;
        }
    }
    return heaviest ? heaviest->name : NULL;
}

static bool describe_quantization(struct model_info *info, const struct gguf_model *m, struct error *err)
{
    const size_t known = sizeof(file_types) / sizeof(file_types[0]);
    uint64_t number = known;
    if (gguf_get_u64(m->files[0], "general.file_type", &number, err) == GGUF_WRONG)
        return false;
    const char *heaviest = heaviest_type(m);
    const char *name = heaviest && number < known ? file_types[number] : NULL;
    if (!name)
        name = heaviest ? heaviest : "";
    snprintf(info->quantization, sizeof(info->quantization), "%s", name);
    return true;
}

/* Elements of all tensors. The sum cannot wrap: a byte of a file holds eight of them at the most. */
static uint64_t count_parameters(const struct gguf_model *m)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n_files; i++)
        for (size_t t = 0; t < m->files[i]->n_tensors; t++)
            sum += m->files[i]->tensors[t].elems;
    return sum;
}

static bool has_tensor(const struct gguf_model *m, const char *name)
{
    for (size_t i = 0; i < m->n_files; i++)
        if (gguf_tensor(m->files[i], name))
            return true;
    return false;
}

static bool has_blocks(const struct gguf_model *m)
{
    for (size_t i = 0; i < m->n_files; i++)
        for (size_t t = 0; t < m->files[i]->n_tensors; t++)
            if (m->files[i]->tensors[t].name.size > 4 &&
                memcmp(m->files[i]->tensors[t].name.at, "blk.", 4) == 0)
                return true;
    return false;
}

static bool is_one_of(const char *name, const char *const list[])
{
    while (*list && strcmp(*list, name) != 0)
        list++;
    return *list != NULL;
}

/* Encoders of text, whose answer is a vector. */
static const char *const embedders[] = {"bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "modern-bert",
    "jina-bert-v2", "jina-bert-v3", "eurobert", "t5encoder", "gemma-embedding", NULL};

/* Models that have blocks and an embedding of tokens, and yet do not write one token after the other. */
static const char *const not_causal[] = {
    "t5", "clip", "wavtokenizer-dec", "dream", "llada", "llada-moe", "rnd1", NULL};

/* pooling_type: 0 says nothing; 1 to 3 (mean, first, last) make one vector of a text; 4 a score, a kind
 * that has no name yet. */
static bool describe_kind(struct model_info *info, const struct gguf_model *m, struct error *err)
{
    uint64_t pooling = 0;
    if (!describe_number(m->files[0], "pooling_type", &pooling, err))
        return false;
    if (!has_tensor(m, "token_embd.weight") || !has_blocks(m) || pooling > 3)
        return true;
    if (pooling != 0 || is_one_of(info->architecture, embedders))
        info->kind = "embed";
    else if (!is_one_of(info->architecture, not_causal))
        info->kind = "generate";
    return true;
}

static bool describe(struct model_info *info, const struct gguf_model *m, struct error *err)
{
    const struct gguf *g = m->files[0];
    info->parameters = count_parameters(m);
    return describe_text(g, "general.architecture", info->architecture, sizeof(info->architecture), err) &&
           describe_text(g, "general.name", info->name, sizeof(info->name), err) &&
           describe_number(g, "context_length", &info->context, err) && describe_quantization(info, m, err) &&
           describe_kind(info, m, err);
}

/* --- The row of the table of loaders --- */

static const char *const gguf_extensions[] = {".gguf", NULL};

static bool gguf_knows(struct span head)
{
    return head.size >= 4 && memcmp(head.at, "GGUF", 4) == 0;
}

static bool gguf_read_model(struct loaded *l, const struct volume *v, const char *path, struct error *err)
{
    return read_files(l, v, path, err) && describe(&l->info, l->parsed, err);
}

static void gguf_release(void *parsed)
{
    struct gguf_model *m = parsed;
    for (size_t i = 0; i < m->n_files; i++)
        gguf_free(m->files[i]);
    free(m->files);
    free(m);
}

const struct loader loader_gguf = {
    .name = "gguf",
    .extensions = gguf_extensions,
    .probe = gguf_knows,
    .read = gguf_read_model,
    .release = gguf_release,
};

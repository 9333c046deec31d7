/* fuzz_huggingface.c - changes the files of a small Hugging Face directory in thousands of ways and opens each.
 *
 * One file of the directory is changed: bytes inverted, cut, doubled, copied from elsewhere. What is refused must have a
 * reason; of what is accepted every string and every tensor is read. The directories depend on their number alone:
 * `fuzz_huggingface 1 4711` opens number 4711 again. FUZZ_FILES, or the first argument, is how many are opened.
 */
#include "berth/loaders/loader.h"
#include "hf_directory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 5
#define GROWTH 256

static volatile uint64_t seen;
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

static const char *const names[FILES] = {
    "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"};
static const char *const texts[FILES] = {NULL, HF_CONFIG, HF_TOKENIZER, HF_TOKENIZER_CONFIG, HF_GENERATION};
static uint8_t bytes[HF_WEIGHTS_ROOM + GROWTH];

static size_t seed(size_t file)
{
    if (!texts[file])
        return hf_weights(bytes, 0, HF_TENSORS, 0);
    strcpy((char *)bytes, texts[file]);
    return strlen(texts[file]);
}

/* Changes happen where the tables are, not in the zeros behind them. */
static size_t change(size_t size)
{
    const size_t reach = size < 1800 ? size : 1800, at = below(reach), n = 1 + below(16);
    switch (below(6)) {
    case 0:
        bytes[at] ^= (uint8_t)(1u << below(8));
        return size;
    case 1:
        bytes[at] = (uint8_t) "0123456789{}[],:\"\\ -eE.nulltrue"[below(31)];
        return size;
    case 2:
        return size > n ? size - n : size;
    case 3: /* a hole */
        if (at + n >= size)
            return size;
        memmove(bytes + at, bytes + at + n, size - at - n);
        return size - n;
    case 4: /* a part twice */
        if (at + n > size || size + n > sizeof(bytes))
            return size;
        memmove(bytes + at + n, bytes + at, size - at);
        return size + n;
    default: /* a part from elsewhere */
        if (at + n > size || reach < n)
            return size;
        memmove(bytes + at, bytes + below(reach - n + 1), n);
        return size;
    }
}

static bool write_file(const char *name, size_t size)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, bytes, size) == (ssize_t)size;
    if (fd >= 0)
        close(fd);
    return good;
}

static void read_all(const struct checkpoint *c)
{
    for (size_t i = 0; i < c->n_values; i++) {
        const struct checkpoint_value *v = &c->values[i];
        size_t pos = 0;
        for (uint64_t k = 0; k < v->count; k++) {
            uint64_t whole = 0;
            double real = 0;
            if (v->kind == CHECKPOINT_STRING)
                seen += v->is_array ? checkpoint_next_string(v->bytes, &pos).size : v->bytes.size;
            else if (checkpoint_item_u64(v, k, &whole) || checkpoint_item_f64(v, k, &real))
                seen += whole + (real > 0);
        }
    }
    for (size_t i = 0; i < c->n_tensors; i++)
        seen += c->tensors[i].data[0] + c->tensors[i].data[c->tensors[i].size - 1];
}

/* Whether the directory behaves; *accepted counts. */
static bool try_number(const struct volume *v, uint64_t number, uint64_t *accepted)
{
    struct loaded l;
    struct error err = {0};
    chance_state = number;
    const size_t file = below(FILES);
    size_t size = seed(file);
    for (size_t i = 1 + below(3); i > 0; i--)
        size = change(size);
    bool good = write_file(names[file], size);
    if (good && loaded_open(&l, v, names[0], &err)) {
        ++*accepted;
        if (l.checkpoint)
            read_all(l.checkpoint);
        loaded_close(&l);
    } else if (!err.text[0]) {
        printf("fuzz_huggingface: number %" PRIu64 " is refused without a reason\n", number);
        good = false;
    }
    return write_file(names[file], seed(file)) && good;
}

int main(int argc, char **argv)
{
    const char *count = argc > 1 ? argv[1] : getenv("FUZZ_FILES");
    uint64_t n = count ? strtoull(count, NULL, 10) : 20000, accepted = 0, failed = 0;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    char path[] = "/tmp/berth-fuzz-XXXXXX";
    struct volume v;
    struct error err = {0};
    bool ready = mkdtemp(path) && chdir(path) == 0;
    for (size_t i = 0; ready && i < FILES; i++)
        ready = write_file(names[i], seed(i));
    ready = ready && mapping_guard(&err) && volume_open(&v, ".", &err) == VOLUME_OPEN;
    for (uint64_t number = first; ready && number < first + n; number++)
        failed += !try_number(&v, number, &accepted);
    for (size_t i = 0; i < FILES; i++)
        unlink(names[i]);
    rmdir(path);
    if (ready)
        volume_close(&v);
    bool mixed = n < 1000 || (accepted > n / 50 && n - accepted > n / 50);
    printf("fuzz_huggingface: %" PRIu64 " directories, %" PRIu64 " accepted\n", n, accepted);
    bool good = ready && mixed && failed == 0;
    printf("%d passed, %d failed, 0 skipped\n", good, !good);
    return !good;
}

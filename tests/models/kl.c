/* kl - how far two sets of logits are apart, and how well each predicts a text.
 *
 *   kl IDS TRUTH OTHER [OTHER...]
 *
 * IDS is a file of token ids, white space between; the others hold float32 logits, [ids][vocabulary]. For each
 * OTHER it prints one line: the mean of KL(other || truth) over the positions, the share of positions whose most
 * probable token is the same, and the perplexities of both on the text. Everything is added up in double.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct logits {
    const float *at;
    size_t floats;
};

static void die(const char *what, const char *name)
{
    fprintf(stderr, "kl: %s: %s\n", name, what);
    exit(1);
}

static struct logits read_logits(const char *name)
{
    struct stat st;
    int fd = open(name, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
        die(errno ? strerror(errno) : "is empty", name);
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        die(strerror(errno), name);
    return (struct logits){map, (size_t)st.st_size / sizeof(float)};
}

static long *read_ids(const char *name, size_t *n)
{
    FILE *f = fopen(name, "r");
    if (!f)
        die(strerror(errno), name);
    size_t room = 4096;
    long *ids = malloc(room * sizeof(*ids)), id;
    for (*n = 0; ids && fscanf(f, "%ld", &id) == 1; ids[(*n)++] = id)
        if (*n == room)
            ids = realloc(ids, (room *= 2) * sizeof(*ids));
    fclose(f);
    if (!ids || *n < 2)
        die("holds no ids", name);
    return ids;
}

/* The row as log probabilities; returns the most probable token. */
static size_t normalize(double *out, const float *row, size_t vocabulary)
{
    size_t best = 0;
    for (size_t i = 1; i < vocabulary; i++)
        if (row[i] > row[best])
            best = i;
    double sum = 0;
    for (size_t i = 0; i < vocabulary; i++)
        sum += exp((double)row[i] - (double)row[best]);
    for (size_t i = 0; i < vocabulary; i++)
        out[i] = (double)row[i] - (double)row[best] - log(sum);
    return best;
}

static void compare(const char *name, struct logits truth, struct logits other, const long *ids, size_t n)
{
    if (other.floats != truth.floats || truth.floats % n != 0)
        die("has another number of logits", name);
    size_t vocabulary = truth.floats / n, same = 0;
    double *p = malloc(vocabulary * sizeof(*p)), *q = malloc(vocabulary * sizeof(*q));
    double divergence = 0, lost_p = 0, lost_q = 0;
    if (!p || !q)
        die("no memory", name);
    for (size_t t = 0; t < n; t++) {
        size_t best_p = normalize(p, other.at + t * vocabulary, vocabulary);
        size_t best_q = normalize(q, truth.at + t * vocabulary, vocabulary);
        same += best_p == best_q;
        for (size_t i = 0; i < vocabulary; i++)
            divergence += exp(p[i]) * (p[i] - q[i]);
        if (t + 1 < n) {
            lost_p -= p[ids[t + 1]];
            lost_q -= q[ids[t + 1]];
        }
    }
    printf("%s kl %.9g top1 %.6f perplexity %.5f truth %.5f\n", name, divergence / (double)n,
        (double)same / (double)n, exp(lost_p / (double)(n - 1)), exp(lost_q / (double)(n - 1)));
    free(p);
    free(q);
}

int main(int argc, char **argv)
{
    size_t n;
    if (argc < 4) {
        fprintf(stderr, "usage: kl IDS TRUTH OTHER [OTHER...]\n");
        return 2;
    }
    long *ids = read_ids(argv[1], &n);
    struct logits truth = read_logits(argv[2]);
    for (int i = 3; i < argc; i++)
        compare(argv[i], truth, read_logits(argv[i]), ids, n);
    free(ids);
    return 0;
}

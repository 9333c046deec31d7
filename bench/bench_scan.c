/* bench_scan.c - measures the scan of state spaces: the time of a token in one block of 32 rows.
 *
 *     bench_scan [SET]
 *
 * The table has a row for each instruction set of the machine, or for the one that is named. "head" is Mamba 2 with 128
 * states, "channels" Mamba with 16; both for a run of 256 tokens and for one token. A figure is the best of several turns,
 * because other work on the machine can only make a turn slower.
 */
#include "berth/kernels/isa.h"
#include "berth/kernels/scan.h"

#include <stdio.h>
#include <time.h>

#define TOKENS 256
#define STATES 128
#define WIDTH 2048 /* floats of a row of a batch */
#define TURNS 15
#define CALLS 2048 /* tokens in a turn */

static float state[STATES * SCAN_ROWS], a[STATES * SCAN_ROWS], d[SCAN_ROWS];
static float x[TOKENS * WIDTH], z[TOKENS * WIDTH], y[TOKENS * WIDTH], dt[TOKENS * SCAN_ROWS];
static float b[TOKENS * STATES], c[TOKENS * STATES];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fill(float *to, size_t n, float from, float step)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from + step * (float)(i % 97);
}

/* Nanoseconds of a token. */
static double measure(void (*scan)(const struct scan_block *), size_t states, size_t tokens)
{
    const struct scan_block s = {.rows = SCAN_ROWS,
        .states = states,
        .tokens = tokens,
        .before = state,
        .after = state,
        .x = x,
        .x_stride = WIDTH,
        .dt = dt,
        .dt_stride = SCAN_ROWS,
        .a = a,
        .d = d,
        .b = b,
        .b_stride = STATES,
        .c = c,
        .c_stride = STATES,
        .z = z,
        .z_stride = WIDTH,
        .y = y,
        .y_stride = WIDTH};
    double best = 1e9;
    for (int turn = 0; turn < TURNS; turn++) {
        double start = now();
        for (size_t done = 0; done < CALLS; done += tokens)
            scan(&s);
        double seconds = (now() - start) / CALLS;
        best = seconds < best ? seconds : best;
    }
    return best * 1e9;
}

int main(int n, char **words)
{
    struct error err;
    fill(x, TOKENS * WIDTH, -1.0f, 0.02f);
    fill(z, TOKENS * WIDTH, -2.0f, 0.04f);
    fill(dt, TOKENS * SCAN_ROWS, 0.01f, 0.01f);
    fill(a, STATES * SCAN_ROWS, -4.0f, 0.04f);
    fill(b, TOKENS * STATES, -1.0f, 0.02f);
    fill(c, TOKENS * STATES, 1.0f, -0.02f);
    printf("%-8s %26s %26s\n", "ns", "head: 256 tokens, 1 token", "channels: 256 tokens, 1");
    for (int set = ISA_PLAIN; set < ISA_SETS; set++) {
        const char *name = n > 1 ? words[1] : isa_name((enum isa)set);
        if (!isa_select(name, &err))
            continue;
        printf("%-8s %17.0f %8.0f %17.0f %8.0f\n", name, measure(scan_head, STATES, TOKENS),
            measure(scan_head, STATES, 1), measure(scan_channels, 16, TOKENS), measure(scan_channels, 16, 1));
        if (n > 1)
            break;
    }
    return 0;
}

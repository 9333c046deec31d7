/* isa.h - the instruction sets that kernels are written for, and which of them is selected.
 *
 * Every kernel exists in plain C. Some sets have faster versions of it, and all versions give the same bits. The
 * list of sets is the table in kernels/isa.c. Each room of kernels (matmul, attention, vector, scan) has a table of its
 * own with one pointer for each set; a set without one uses its base set's.
 *
 * One set is selected for the whole process, before threads start.
 */
#ifndef BERTH_ISA_H
#define BERTH_ISA_H

#include "berth/base/error.h"

#include <stddef.h>

/* In the order of preference within an architecture: "auto" selects the last one that the machine has. */
enum isa {
    ISA_PLAIN, /* C alone, on any machine */
    ISA_AVX2, /* with FMA and F16C */
    ISA_AVXVNNI, /* AVX2 and VNNI for 256-bit registers */
    ISA_AVX512, /* F, BW, DQ, VL and VNNI */
    ISA_NEON, /* what every arm64 processor has */
    ISA_DOTPROD, /* NEON and SDOT, from Armv8.2 on */
    ISA_I8MM, /* NEON, SDOT and SMMLA */
    ISA_SETS
};

/* "plain", "avx2" and so on. */
const char *isa_name(enum isa set);

/* The set whose kernels serve where `set` has none of its own. The base of plain is plain. */
enum isa isa_base(enum isa set);

/* True when processor and operating system can run this set, and this program has kernels for it. */
bool isa_has(enum isa set);

/* Selects a set by its name; "auto" selects the best one that the machine has. Call it before threads start. Returns
 * false and writes why into `err` when no set has the name or the machine cannot run it; the selection then stays as
 * it was. Before the first call plain is selected. */
bool isa_select(const char *name, struct error *err);
enum isa isa_selected(void);

/* The largest number of bytes that a kernel should prefetch into L1; more should go to L2. isa_select asks the
 * processor for it. 0 before that. */
size_t isa_l1_prefetch_bytes(void);

#endif

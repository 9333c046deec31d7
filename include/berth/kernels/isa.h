/* isa.h - which instructions the kernels may use.
 *
 * Every kernel exists in plain C and, beside it, in versions for an instruction set each; all give the same
 * bits. Which set is in force is asked here once, before threads start; the choice is one of the few things
 * that are global.
 */
#ifndef BERTH_ISA_H
#define BERTH_ISA_H

#include "berth/base/error.h"

#include <stddef.h>

enum isa {
    ISA_PLAIN, /* C alone, on any machine */
    ISA_AVX2, /* with FMA and F16C */
    ISA_AVXVNNI, /* the same with VNNI for 256-bit registers */
    ISA_AVX512, /* F, BW, DQ, VL and VNNI */
    ISA_NEON, /* what every arm64 processor has */
    ISA_DOTPROD, /* with SDOT, from Armv8.2 on */
    ISA_I8MM, /* with SMMLA, too */
    ISA_SETS
};

const char *isa_name(enum isa set); /* "plain", "avx2", "avxvnni", "avx512", "neon", "dotprod", "i8mm" */

/* True when processor and system can run this set, and this program has kernels for it. */
bool isa_has(enum isa set);

/* Puts a set in force by its name; "auto" is the best there is. Not while kernels run: call it before
 * threads. False with the reason when the name is unknown or the machine cannot. Until it is called the set
 * is plain. */
bool isa_select(const char *name, struct error *err);
enum isa isa_selected(void);

/* How many bytes, asked for before they are needed, should at most go to the nearest cache; of more, all to the next.
 * Asked of the processor by isa_select, and 0 until then. */
size_t isa_l1_bytes(void);

#endif

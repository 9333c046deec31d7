/* isa.h - which instructions the kernels may use.
 *
 * Every kernel exists in plain C and, beside it, in versions for an instruction set each; all give the same
 * bits. Which set is in force is asked here once, before threads start; the choice is one of the few things
 * that are global.
 */
#ifndef BERTH_CPU_H
#define BERTH_CPU_H

#include "berth/base/error.h"

#include <stddef.h>

enum cpu_set {
    CPU_PLAIN, /* C alone, on any machine */
    CPU_AVX2, /* with FMA and F16C */
    CPU_AVXVNNI, /* the same with VNNI for 256-bit registers */
    CPU_AVX512, /* F, BW, DQ, VL and VNNI */
    CPU_NEON, /* what every arm64 processor has */
    CPU_DOTPROD, /* with SDOT, from Armv8.2 on */
    CPU_I8MM, /* with SMMLA, too */
    CPU_SETS
};

const char *cpu_set_name(
    enum cpu_set set); /* "plain", "avx2", "avxvnni", "avx512", "neon", "dotprod", "i8mm" */

/* True when processor and system can run this set, and this program has kernels for it. */
bool cpu_has(enum cpu_set set);

/* Puts a set in force by its name; "auto" is the best there is. Not while kernels run: call it before
 * threads. False with the reason when the name is unknown or the machine cannot. Until it is called the set
 * is plain. */
bool cpu_select(const char *name, struct error *err);
enum cpu_set cpu_selected(void);

/* How many bytes, asked for before they are needed, should at most go to the nearest cache; of more, all to the next.
 * Asked of the processor by cpu_select, and 0 until then. */
size_t cpu_nearest_bytes(void);

#endif

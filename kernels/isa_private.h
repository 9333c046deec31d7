/* isa_private.h - how the rooms of kernels list what they have for each instruction set.
 *
 * The files of a set are compiled for its architecture alone. In a table that is indexed by enum isa,
 * ISA_X86(name) and ISA_ARM64(name) are the address of `name` on that architecture and NULL on others.
 */
#ifndef BERTH_ISA_PRIVATE_H
#define BERTH_ISA_PRIVATE_H

#include "berth/kernels/isa.h"

#if defined(__x86_64__)
#define ISA_X86(name) (&(name))
#else
#define ISA_X86(name) NULL
#endif

#if defined(__aarch64__)
#define ISA_ARM64(name) (&(name))
#else
#define ISA_ARM64(name) NULL
#endif

#endif

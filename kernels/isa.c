/* isa.c - the list of instruction sets, and which of them this machine has.
 *
 * To add a set, add a row to `sets`, a line with its compiler flags to the Makefile, and a file with its kernels and
 * a line in the table of each room that has kernels for it.
 *
 * An x86 set counts only when the operating system saves its registers on a switch between threads. XGETBV tells
 * (Intel SDM volume 1, chapters 13 to 15): bits 1 and 2 for the 256-bit registers, 5 to 7 for the 512-bit ones.
 * Leaf 4 of CPUID describes the caches; AMD has the same form at leaf 0x8000001D. Every arm64 processor that runs
 * Linux has NEON; the auxiliary vector tells what it has beyond that.
 */
#include "isa_private.h"

#include "berth/base/text.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_int selected = ISA_PLAIN;
static atomic_size_t l1_prefetch;

static bool has_always(void)
{
    return true;
}

#if defined(__x86_64__)
#include <cpuid.h>

/* What CPUID and XGETBV say. */
struct x86_features {
    unsigned leaf1_c; /* leaf 1: ECX */
    unsigned leaf7_b, leaf7_c, leaf7_1_a; /* leaf 7: EBX, ECX, and EAX of its subleaf 1 */
    uint64_t saved; /* registers that the operating system saves; 0 without OSXSAVE */
};

static uint64_t saved_registers(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static struct x86_features ask(void)
{
    struct x86_features f = {0};
    unsigned a, b, c, d, subleaves;
    const unsigned osxsave = 1u << 27;
    if (!__get_cpuid(1, &a, &b, &f.leaf1_c, &d) || !(f.leaf1_c & osxsave) ||
        !__get_cpuid_count(7, 0, &subleaves, &f.leaf7_b, &f.leaf7_c, &d))
        return f;
    f.saved = saved_registers();
    if (subleaves >= 1)
        __get_cpuid_count(7, 1, &f.leaf7_1_a, &b, &c, &d);
    return f;
}

static bool has_all(unsigned word, unsigned bits)
{
    return (word & bits) == bits;
}

static bool has_avx2(void)
{
    const struct x86_features f = ask();
    const unsigned fma = 1u << 12, f16c = 1u << 29, avx2 = 1u << 5;
    return (f.saved & 0x6) == 0x6 && has_all(f.leaf1_c, fma | f16c) && has_all(f.leaf7_b, avx2);
}

static bool has_avxvnni(void)
{
    const unsigned avxvnni = 1u << 4;
    return has_avx2() && has_all(ask().leaf7_1_a, avxvnni);
}

static bool has_avx512(void)
{
    const struct x86_features f = ask();
    const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    const unsigned vnni = 1u << 11;
    return has_avx2() && (f.saved & 0xe6) == 0xe6 && has_all(f.leaf7_b, avx512) && has_all(f.leaf7_c, vnni);
}

/* Size of the first-level data cache, or 0 when the processor does not say. */
static size_t l1_bytes(void)
{
    static const unsigned leaves[] = {4, 0x8000001d};
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        unsigned a, b, c, d;
        for (unsigned n = 0; n < 8 && __get_cpuid_count(leaves[i], n, &a, &b, &c, &d) && (a & 31) != 0; n++)
            if ((a & 31) == 1 && (a >> 5 & 7) == 1) /* for data, level 1 */
                return (size_t)((b >> 22) + 1) * ((b >> 12 & 1023) + 1) * ((b & 4095) + 1) * (c + 1);
    }
    return 0;
}

/* AMD, family 1Ah or later. The family is the sum of two fields (AMD64 manual volume 3, appendix E). */
static bool is_zen5(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx || c != signature_AMD_ecx ||
        d != signature_AMD_edx)
        return false;
    return __get_cpuid(1, &a, &b, &c, &d) && (a >> 8 & 15) + (a >> 20 & 255) >= 0x1a;
}

/* L1 also holds the rows that are being multiplied, as many bytes again, and the activations. When the prefetched
 * rows are more than three tenths of L1, they evict those, and Zen 4 reads weights at half of its speed. Zen 5 has no
 * limit: it mostly ignores a prefetch into L2 (30 % slower), and its L2 is fast enough for what L1 loses. */
static size_t l1_prefetch_limit(void)
{
    return is_zen5() ? SIZE_MAX : l1_bytes() / 10 * 3;
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

/* HWCAP_ASIMDDP and HWCAP2_I8MM of Linux (Documentation/arch/arm64/elf_hwcaps.rst). */
#define DOTPROD (1ul << 20)
#define I8MM (1ul << 13)

static bool has_dotprod(void)
{
    return (getauxval(AT_HWCAP) & DOTPROD) != 0;
}

static bool has_i8mm(void)
{
    return has_dotprod() && (getauxval(AT_HWCAP2) & I8MM) != 0;
}
#endif

#if !defined(__x86_64__)
static size_t l1_prefetch_limit(void)
{
    return 0; /* no kernel there asks */
}
#endif

/* ---- the list ---- */

struct isa_set {
    const char *name;
    bool (*has)(void); /* NULL on another architecture */
    enum isa base;
};

/* clang-format off */
static const struct isa_set sets[ISA_SETS] = {
    [ISA_PLAIN]   = {.name = "plain",   .has = has_always,             .base = ISA_PLAIN},
    [ISA_AVX2]    = {.name = "avx2",    .has = ISA_X86(has_avx2),      .base = ISA_PLAIN},
    [ISA_AVXVNNI] = {.name = "avxvnni", .has = ISA_X86(has_avxvnni),   .base = ISA_AVX2},
    [ISA_AVX512]  = {.name = "avx512",  .has = ISA_X86(has_avx512),    .base = ISA_AVX2},
    [ISA_NEON]    = {.name = "neon",    .has = ISA_ARM64(has_always),  .base = ISA_PLAIN},
    [ISA_DOTPROD] = {.name = "dotprod", .has = ISA_ARM64(has_dotprod), .base = ISA_NEON},
    [ISA_I8MM]    = {.name = "i8mm",    .has = ISA_ARM64(has_i8mm),    .base = ISA_DOTPROD},
};
/* clang-format on */

const char *isa_name(enum isa set)
{
    return sets[set].name;
}

enum isa isa_base(enum isa set)
{
    return sets[set].base;
}

bool isa_has(enum isa set)
{
    return sets[set].has && sets[set].has();
}

static bool unknown_name(const char *name, struct error *err)
{
    char shown[64], names[128] = "auto";
    size_t length = strlen(names);
    for (size_t i = 0; i < ISA_SETS && length < sizeof(names); i++)
        length += (size_t)snprintf(
            names + length, sizeof(names) - length, "%s%s", i + 1 < ISA_SETS ? ", " : " or ", sets[i].name);
    text_escape(shown, sizeof(shown), span_of(name));
    return error_set(err, "\"%s\" is no instruction set: %s", shown, names);
}

bool isa_select(const char *name, struct error *err)
{
    bool any = strcmp(name, "auto") == 0;
    for (int set = ISA_SETS - 1; set >= 0; set--) {
        if (!any && strcmp(name, sets[set].name) != 0)
            continue;
        if (isa_has((enum isa)set)) {
            atomic_store(&selected, set);
            atomic_store(&l1_prefetch, l1_prefetch_limit());
            return true;
        }
        if (!any)
            return error_set(err, "this machine cannot run the %s instruction set", name);
    }
    return unknown_name(name, err);
}

enum isa isa_selected(void)
{
    return (enum isa)atomic_load_explicit(&selected, memory_order_relaxed);
}

size_t isa_l1_prefetch_bytes(void)
{
    return atomic_load_explicit(&l1_prefetch, memory_order_relaxed);
}

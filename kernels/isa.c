/* isa.c - asks the processor what it has and the system what it saves.
 *
 * A set counts only when the system saves its registers on a switch between threads, which XGETBV tells
 * (Intel SDM volume 1, chapters 13 to 15): bits 1 and 2 for the 256-bit registers, 5 to 7 for the 512-bit
 * ones. Caches are told by leaf 4, by AMD in the same form by 0x8000001D. Every arm64 processor that runs Linux
 * has NEON; the system tells what it has beyond that.
 */
#include "berth/kernels/isa.h"

#include "berth/base/text.h"

#include <stdatomic.h>
#include <string.h>

static atomic_int selected = ISA_PLAIN;
static atomic_size_t nearest;

static const char *const names[ISA_SETS] = {"plain", "avx2", "avxvnni", "avx512", "neon", "dotprod", "i8mm"};

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t saved_registers(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

struct features {
    bool avx2, avxvnni, avx512;
};

static struct features ask(void)
{
    struct features f = {0};
    unsigned a, b, c, d, a7, b7, c7;
    const unsigned fma = 1u << 12, osxsave = 1u << 27, f16c = 1u << 29;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (fma | osxsave | f16c)) != (fma | osxsave | f16c) ||
        !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d))
        return f;
    uint64_t saved = saved_registers();
    const unsigned avx2 = 1u << 5;
    const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    const unsigned vnni = 1u << 11;
    f.avx2 = (saved & 0x6) == 0x6 && (b7 & avx2);
    if (a7 >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
        f.avxvnni = f.avx2 && (a & 1u << 4);
    f.avx512 = f.avx2 && (saved & 0xe6) == 0xe6 && (b7 & avx512) == avx512 && (c7 & vnni);
    return f;
}

/* Of the first cache for data, or 0 when the processor does not say. */
static size_t first_cache_bytes(void)
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

/* AMD's from family 1Ah on. The family is the sum of two fields (AMD64 manual volume 3, appendix E). */
static bool is_zen5(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx || c != signature_AMD_ecx ||
        d != signature_AMD_edx)
        return false;
    return __get_cpuid(1, &a, &b, &c, &d) && (a >> 8 & 15) + (a >> 20 & 255) >= 0x1a;
}

/* Beside what is asked for there are what is worked on, as much again, and what it is multiplied by: from three tenths
 * of the cache on, Zen 4 reads weights at half of its speed, for they push each other out. But Zen 5 hardly heeds a
 * hint that names the next cache (30 % slower), and gets from there quickly enough what had to leave the first. */
static size_t most_for_nearest(void)
{
    return is_zen5() ? SIZE_MAX : first_cache_bytes() / 10 * 3;
}

bool isa_has(enum isa set)
{
    const struct features f = ask();
    return set == ISA_PLAIN || (set == ISA_AVX2 && f.avx2) || (set == ISA_AVXVNNI && f.avxvnni) ||
           (set == ISA_AVX512 && f.avx512);
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

/* HWCAP_ASIMDDP and HWCAP2_I8MM of Linux (Documentation/arch/arm64/elf_hwcaps.rst). */
#define DOTPROD (1ul << 20)
#define I8MM (1ul << 13)

bool isa_has(enum isa set)
{
    bool has_dotprod = (getauxval(AT_HWCAP) & DOTPROD) != 0;
    bool has_i8mm = has_dotprod && (getauxval(AT_HWCAP2) & I8MM) != 0;
    return set == ISA_PLAIN || set == ISA_NEON || (set == ISA_DOTPROD && has_dotprod) ||
           (set == ISA_I8MM && has_i8mm);
}
#else
bool isa_has(enum isa set)
{
    return set == ISA_PLAIN;
}
#endif

#if !defined(__x86_64__)
static size_t most_for_nearest(void)
{
    return 0; /* no kernel there asks */
}
#endif

const char *isa_name(enum isa set)
{
    return names[set];
}

bool isa_select(const char *name, struct error *err)
{
    bool any = strcmp(name, "auto") == 0;
    for (int set = ISA_SETS - 1; set >= 0; set--) {
        if (!any && strcmp(name, names[set]) != 0)
            continue;
        if (isa_has((enum isa)set)) {
            atomic_store(&selected, set);
            atomic_store(&nearest, most_for_nearest());
            return true;
        }
        if (!any)
            return error_set(err, "this machine cannot run the %s kernels", name);
    }
    char shown[64];
    text_escape(shown, sizeof(shown), span_of(name));
    return error_set(
        err, "\"%s\" is no set of kernels: auto, plain, avx2, avxvnni, avx512, neon, dotprod or i8mm", shown);
}

enum isa isa_selected(void)
{
    return (enum isa)atomic_load_explicit(&selected, memory_order_relaxed);
}

size_t isa_l1_bytes(void)
{
    return atomic_load_explicit(&nearest, memory_order_relaxed);
}

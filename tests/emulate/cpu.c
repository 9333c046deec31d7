/* cpu.c - says that this processor has every set of x86, whatever it has: what it lacks is emulated.
 *
 * The rest is the product's, whose isa_has() goes by another name here.
 */
#include "berth/kernels/isa.h"

#include <string.h>

bool cpu_has_indeed(enum isa set);

bool isa_has(enum isa set)
{
    return strncmp(isa_name(set), "avx", 3) == 0 || cpu_has_indeed(set);
}

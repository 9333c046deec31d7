/* isa.c - answers that this processor has every instruction set of x86: what it lacks is emulated.
 *
 * The rest is kernels/isa.c, in which isa_has() is renamed to machine_has() for this test.
 */
#include "berth/kernels/isa.h"

#include <string.h>

bool machine_has(enum isa set);

bool isa_has(enum isa set)
{
    return strncmp(isa_name(set), "avx", 3) == 0 || machine_has(set);
}

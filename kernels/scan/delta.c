/* delta.c - passes each call to the function of the selected instruction set. */
#include "berth/kernels/delta.h"

#include "scan_private.h"

void delta_rule(const struct delta_block *b)
{
    scan_selected()->delta(b);
}

/* wkv.c - passes each call to the function of the selected instruction set. */
#include "scan_private.h"

void wkv(const struct wkv_block *b)
{
    scan_selected()->wkv(b);
}

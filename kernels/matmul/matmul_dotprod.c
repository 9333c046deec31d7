/* matmul_dotprod.c - the table of SDOT, which multiplies and adds sixteen bytes at once. matmul_neon_int8_impl.h has
 * the kernels. Floats and packing are those of matmul_neon.c.
 */
#include "matmul_neon_codes_impl.h"

const struct matmul_kernels matmul_dotprod = MATMUL_SET_OF_NEON;

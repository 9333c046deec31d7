/* matmul_dotprod.c - products for arm64 processors with SDOT, which multiplies and adds sixteen bytes at once:
 * matmul_neon_int8_impl.h says how. Floats and activations are matmul_neon.c's.
 */
#include "matmul_neon_int8_impl.h"

const struct matmul_kernels matmul_dotprod = MATMUL_SET_OF_NEON;

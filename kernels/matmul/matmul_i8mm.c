/* matmul_i8mm.c - products for arm64 processors with SMMLA, which multiplies two rows by two tokens, eight bytes of
 * each, at once: matmul_neon_int8_impl.h says how. One token is matmul_dotprod.c's, floats and activations are
 * matmul_neon.c's.
 */
#include "matmul_neon_int8_impl.h"

const struct matmul_kernels matmul_i8mm = MATMUL_SET_OF_NEON;

/* matmul_i8mm.c - the table of SMMLA, which multiplies eight bytes of two rows by those of two tokens at once.
 * matmul_neon_int8_impl.h has the kernels. One token is computed by matmul_dotprod.c; floats and packing are those of
 * matmul_neon.c.
 */
#include "matmul_neon_codes_impl.h"

const struct matmul_kernels matmul_i8mm = MATMUL_SET_OF_NEON;

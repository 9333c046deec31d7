/* matmul_avx2.c - products with AVX2; matmul_256_impl.h tells how. */
#include "matmul_256_table_impl.h"

const struct matmul_kernels matmul_avx2 = MATMUL_256_KERNELS;

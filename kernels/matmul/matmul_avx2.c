/* matmul_avx2.c - the table of AVX2; matmul_256_impl.h describes the kernels. */
#include "matmul_256_table_impl.h"

const struct matmul_kernels matmul_avx2 = MATMUL_256_KERNELS;

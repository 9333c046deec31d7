/* matmul_avxvnni.c - the table of AVX-VNNI; matmul_256_impl.h describes the kernels. */
#include "matmul_256_table_impl.h"

const struct matmul_kernels matmul_avxvnni = MATMUL_256_KERNELS;

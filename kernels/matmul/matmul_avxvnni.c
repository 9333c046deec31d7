/* matmul_avxvnni.c - products with AVX2 and vpdpbusd for its registers; matmul_256_impl.h tells how. */
#include "matmul_256_table_impl.h"

const struct matmul_kernels matmul_avxvnni = MATMUL_256_KERNELS;

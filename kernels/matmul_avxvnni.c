/* matmul_avxvnni.c - matmul_avx2.c once more, with vpdpbusd for 256-bit registers; matmul_avx2_private.h tells. */
#include "matmul_avx2.c"

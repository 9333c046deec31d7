/* matmul_k_avxvnni.c - matmul_k_avx2.c once more; see matmul_avxvnni.c. */
#include "matmul_k_avx2.c"

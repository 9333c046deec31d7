/* matmul_add_avxvnni.c - matmul_add_avx2.c once more; see matmul_avxvnni.c. */
#include "matmul_add_avx2.c"

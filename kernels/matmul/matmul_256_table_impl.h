/* matmul_256_table_impl.h - the table of a set with 256-bit registers: one row for each type. */
#ifndef BERTH_MATMUL_256_TABLE_IMPL_H
#define BERTH_MATMUL_256_TABLE_IMPL_H

#include "matmul_256_codes_impl.h"
#include "matmul_256_small_impl.h"
#include "matmul_256_wide_impl.h"

#define MATMUL_256_KERNELS                                                                                   \
    {                                                                                                        \
        .pack = matmul_avx2_pack,                                                                            \
        .int8 =                                                                                              \
            {                                                                                                \
                [MATMUL_Q4_0] = tile_q4_0,                                                                   \
                [MATMUL_Q4_1] = tile_q4_1,                                                                   \
                [MATMUL_Q5_0] = tile_q5_0,                                                                   \
                [MATMUL_Q5_1] = tile_q5_1,                                                                   \
                [MATMUL_Q8_0] = tile_q8_0,                                                                   \
                [MATMUL_Q2_K] = tile_q2_k,                                                                   \
                [MATMUL_Q3_K] = tile_q3_k,                                                                   \
                [MATMUL_Q4_K] = tile_q4_k,                                                                   \
                [MATMUL_Q5_K] = tile_q5_k,                                                                   \
                [MATMUL_Q6_K] = tile_q6_k,                                                                   \
                [MATMUL_IQ4_NL] = tile_iq4_nl,                                                               \
                [MATMUL_IQ4_XS] = tile_iq4_xs,                                                               \
                [MATMUL_MXFP4] = tile_mxfp4,                                                                 \
                MATMUL_CODES,                                                                                \
            },                                                                                               \
        .floats = {matmul_avx2_f32, matmul_avx2_f16, matmul_avx2_bf16},                                      \
    }

#endif

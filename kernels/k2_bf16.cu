// Expert products with BF16 weights. Reference: FP64 of the weights' own values; README.md states the order of every sum.
#include "large.h"
#include "small.h"

#define PRODUCT(NAME, BODY, GATE_UP, THREADS) \
  KERNEL __launch_bounds__(THREADS, 1) NAME(const u32* __restrict__ counts, const u8* __restrict__ blocks, const u32* __restrict__ map, \
    const u16* __restrict__ input, u16* __restrict__ output, u32 hidden, u32 intermediate, u32 rowsPerBlock, u32 stages) { \
    BODY<Bf16, GATE_UP>(counts, blocks, map, input, output, hidden, intermediate, rowsPerBlock, stages); }

PRODUCT(k2_gate_up_bf16_small, small_product, true, 512)
PRODUCT(k2_down_bf16_small, small_product, false, 512)
PRODUCT(k2_gate_up_bf16_large, large_product, true, 256)
PRODUCT(k2_down_bf16_large, large_product, false, 256)

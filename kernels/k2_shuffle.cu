// From checkpoint layout to one stream of a slot, on the device, when an expert is loaded. A warp makes one block of 16 rows x 128 inputs;
// K past its end becomes zero weights. README.md gives both layouts. Reference: the same permutation on the host.
// Cost: every byte read once and written once (writes in whole lines; reads in pieces of 64 bytes of 16 rows, whose other halves come from L1).
#include "ptx.h"

// Nibble p of the result is nibble {0, 2, 4, 6, 1, 3, 5, 7}[p]: then nibbles p and p + 4 are neighbours, and one AND takes both.
DEVICE u32 even_then_odd(u32 w) {
  u32 result = 0;
  #pragma unroll
  for (u32 p = 0; p < 8; ++p) result |= (w >> (4 * (p < 4 ? 2 * p : 2 * p - 7)) & 15) << (4 * p);
  return result;
}

// The warps of the grid take the blocks of the stream one after the other.
#define FOR_EACH_BLOCK(BLOCK, TOTAL) \
  for (u32 BLOCK = block_index() * (thread_count() >> 5) + (thread_index() >> 5); BLOCK < (TOTAL); BLOCK += block_count() * (thread_count() >> 5))

KERNEL __launch_bounds__(256) k2_shuffle_int4(
    const u32* __restrict__ weightsA, const u16* __restrict__ scalesA, const u32* __restrict__ weightsB, const u16* __restrict__ scalesB, u8* __restrict__ stream,
    u32 tiles, u32 rowStride, u32 inputs) {
  const u32 lane = thread_index() & 31, row = lane >> 2, t = lane & 3;
  const u32 kBlocks = (inputs + 127) >> 7, groups = inputs >> 5;
  FOR_EACH_BLOCK(block, tiles * kBlocks) {
    const u32 tile = block / kBlocks, group0 = (block - tile * kBlocks) * 4;
    const u64 sourceRow = (u64)tile * rowStride + row;
    const u32* a = weightsA + sourceRow * (inputs >> 3) + t;
    const u32* b = weightsB + sourceRow * (inputs >> 3) + t;
    u8* target = stream + (u64)block * 1152;
    #pragma unroll
    for (u32 half = 0; half < 2; ++half) {
      const u32 g = group0 + 2 * half, zero = 0x88888888u;
      const bool first = g < groups, second = g + 1 < groups;
      store_global_quad(target + half * 512 + lane * 16, {
        even_then_odd(first ? a[g * 4] : zero), even_then_odd(first ? b[g * 4] : zero),
        even_then_odd(second ? a[g * 4 + 4] : zero), even_then_odd(second ? b[g * 4 + 4] : zero)});
    }
    // Lane (row, t): the scales of group t, of rows `row` and `row + 8`.
    const u32 g = group0 + t;
    const u64 at = sourceRow * groups + g;
    ((u32*)(target + 1024))[lane] = g < groups ? scalesA[at] | (u32)scalesB[at] << 16 : 0;
  }
}

KERNEL __launch_bounds__(256) k2_shuffle_bf16(
    const u16* __restrict__ weightsA, const u16* __restrict__ weightsB, u8* __restrict__ stream, u32 tiles, u32 rowStride, u32 inputs) {
  const u32 lane = thread_index() & 31, row = lane >> 2, t = lane & 3;
  const u32 kBlocks = (inputs + 127) >> 7, groups = inputs >> 5;
  FOR_EACH_BLOCK(block, tiles * kBlocks) {
    const u32 tile = block / kBlocks, group0 = (block - tile * kBlocks) * 4;
    const u64 source = ((u64)tile * rowStride + row) * inputs + t * 8;
    u8* target = stream + (u64)block * 4096 + lane * 16;
    #pragma unroll
    for (u32 i = 0; i < 4; ++i) {
      const u32 g = group0 + i;
      Quad a = {0, 0, 0, 0}, b = a;
      if (g < groups) {
        a = load_global_quad(weightsA + source + g * 32);
        b = load_global_quad(weightsB + source + g * 32);
      }
      store_global_quad(target + i * 1024, a);
      store_global_quad(target + i * 1024 + 512, b);
    }
  }
}

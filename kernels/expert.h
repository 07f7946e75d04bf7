// What all expert kernels share: shapes, the order of the reduction, how a grid divides its work, and how a product leaves.
// README.md states the buffers and the layout of a slot.
#pragma once
#include "ptx.h"

// K is cut into this many parts, at blocks KB * part / Parts; an element is ((part0 + part1) + part2) + part3.
enum { Parts = 4 };

template <class Format, bool GateUp> struct Shape {
  u32 inputs;            // K
  u32 outputs;           // columns of the output buffer
  u32 kBlocks;           // blocks of 128 inputs
  u32 tiles;             // row tiles of 16
  u64 streamOffset;      // of this product's stream in a slot

  MEMBER Shape(u32 hidden, u32 intermediate) {
    const u32 hiddenBlocks = (hidden + 127) >> 7, intermediateBlocks = (intermediate + 127) >> 7;
    inputs = GateUp ? hidden : intermediate;
    outputs = GateUp ? intermediate : hidden;
    kBlocks = GateUp ? hiddenBlocks : intermediateBlocks;
    tiles = GateUp ? intermediate >> 3 : hidden >> 4;
    streamOffset = GateUp ? 0 : (u64)(intermediate >> 3) * (hiddenBlocks * Format::BlockBytes);
  }

  MEMBER u32 part_block(u32 part) const { return kBlocks * part / Parts; }
  MEMBER u32 tile_bytes() const { return kBlocks * Format::BlockBytes; }
};

// Up to rowsPerBlock rows of one expert, as the route kernel wrote it.
struct Block {
  u32 addressLow, addressHigh, first, rows;

  MEMBER explicit Block(Quad q) : addressLow(q.x), addressHigh(q.y), first(q.z), rows(q.w) {}
  MEMBER static Block read(const u8* blocks, u32 index) { return Block(load_global_quad(blocks + (u64)index * 16)); }
  MEMBER const u8* slot() const { return (const u8*)((u64)addressHigh << 32 | addressLow); }
};

// This CTA's contiguous share of `total` units of work; shares differ by one unit at most.
struct Share {
  u32 begin, end;

  MEMBER explicit Share(u32 total) {
    const u32 each = total / block_count(), left = total - each * block_count(), index = block_index();
    begin = each * index + smaller(index, left);
    end = begin + each + (index < left ? 1 : 0);
  }
};

// Writes a lane's elements of one tile and eight rows: sum[0], sum[1] are its row `lane >> 2` of rows token, token + 1;
// sum[2], sum[3] its row 8 further on. gate_up: gate and up of one column. target0 and target1 are the rows in the output buffer.
template <bool GateUp>
DEVICE void store_tile(u16* output, u64 target0, u64 target1, u32 tile, u32 lane, u32 columns, bool first, bool second, const float (&sum)[4]) {
  const u32 row = lane >> 2;
  if (GateUp) {
    u16* p = output + tile * 8 + row;
    if (first) p[target0 * columns] = to_bf16(silu(sum[0]) * sum[2]);
    if (second) p[target1 * columns] = to_bf16(silu(sum[1]) * sum[3]);
  } else {
    u16* p = output + tile * 16 + row;
    if (first) { p[target0 * columns] = to_bf16(sum[0]); p[target0 * columns + 8] = to_bf16(sum[2]); }
    if (second) { p[target1 * columns] = to_bf16(sum[1]); p[target1 * columns + 8] = to_bf16(sum[3]); }
  }
}

// Up to 64 rows of an expert at a time, and by blocks of 64 for more: the kernel for prefill and for wide batches.
//
// A CTA takes a chunk: up to two row tiles (32 weight rows) for each of its warps x the rows of one block. Weights and activations of 128
// inputs (INT4; 64 for BF16) are a stage; `stages` of them are under way by cp.async, and one barrier a stage says that it has
// come and that the one before is free. The feed runs on across chunks. A warp multiplies its two tiles with all the rows: one read of
// an activation serves 32 weight rows, one dequantisation serves all rows. The four parts of K come one after
// the other in a second accumulator: the sums that the small kernel's four warps join.
//
// The unit of work is half a chunk, so that shares are even; two halves of one block that follow each other are one chunk.
// Activations lie in rows of StageGroups * 64 bytes; the groups 2i and 2i+1 change places in odd rows, which spreads two neighbouring rows over the banks.
// Shared memory: [stages]{weights [warp][2][StageBytes], activations [rowsPerBlock][StageGroups * 64]}.
#pragma once
#include "formats.h"

struct Chunk {
  Block block = Block({0, 0, 0, 0});
  u32 firstPair, pairs, halves;     // pairs of row tiles

  template <class Format, bool GateUp>
  static MEMBER Chunk at(const u8* blocks, const Shape<Format, GateUp>& shape, u32 half, u32 endHalf, u32 perBlock, u32 granule, u32 warps) {
    const u32 index = half / perBlock, inBlock = half - index * perBlock;
    Chunk chunk;
    chunk.block = Block::read(blocks, index);
    chunk.halves = smaller(warps > 1 ? 2 : 1, smaller(perBlock - inBlock, endHalf - half));
    chunk.firstPair = inBlock * granule;
    chunk.pairs = smaller(chunk.halves * granule, (shape.tiles >> 1) - chunk.firstPair);
    return chunk;
  }

  // Rows of activations that are multiplied: 8, 16, 32 or 64.
  MEMBER u32 width() const { return block.rows <= 16 ? (block.rows <= 8 ? 8 : 16) : block.rows <= 32 ? 32 : 64; }
};

template <class Format, bool GateUp> struct LargeKernel {
  enum { XRowBytes = Format::StageGroups * 64, Pieces = XRowBytes / 16, StageInputs = Format::StageGroups * 32, StagesPerBlock = 4 / Format::StageGroups, ThreadPieces = 4 };
  static const u32 NoRow = 0xffffffffu;

  const u8* blocks;
  const u32* map;
  const u16* input;
  u16* output;
  Shape<Format, GateUp> shape;
  u32 thread, threads, lane, warp, warps;
  u32 stageBytes, ring, ringEnd, perBlock, granule, endHalf, stagesOfK, waitFor, rowsPerBlock;

  // What is being copied. A thread copies the same 16 bytes of up to ThreadPieces rows in every stage: feedRow is where a row begins;
  // feedPiece where the first of them goes in a stage.
  u32 feedHalf, feedStage, feedTarget, feedPiece, feedInput, feedRow[ThreadPieces];
  Chunk feedChunk;
  const u8* feedSource;

  // What is being multiplied.
  u32 slot;

  MEMBER LargeKernel(u32 hidden, u32 intermediate) : shape(hidden, intermediate) {}

  // Where a row of the block begins, in elements of the input.
  MEMBER u32 input_row(u32 token) const {
    const u32 place = feedChunk.block.first + token;
    return token < feedChunk.block.rows ? (GateUp ? map[place] : place) * shape.inputs : NoRow;
  }

  MEMBER void copy_piece(u32 target, u32 row) const {
    const bool inside = row != NoRow && feedInput < shape.inputs;
    copy_async_or_zero(target, input + (inside ? row + feedInput : 0), inside ? 16 : 0);
  }

  MEMBER void open_feed() {
    feedStage = 0;
    feedInput = (thread % Pieces) * 8;
    if (feedHalf < endHalf) {
      feedChunk = Chunk::at(blocks, shape, feedHalf, endHalf, perBlock, granule, warps);
      feedSource = feedChunk.block.slot() + shape.streamOffset + (u64)(2 * (feedChunk.firstPair + warp)) * shape.tile_bytes() + lane * 16;
      if (feedChunk.block.rows > rowsPerBlock) fail();
      const u32 from = afresh(thread);
      #pragma unroll
      for (u32 i = 0; i < ThreadPieces; ++i) feedRow[i] = input_row((from + i * threads) / Pieces);
    }
  }

  // Starts the copy of the next stage, if any is left.
  MEMBER void copy() {
    if (feedHalf < endHalf) {
      if (warp < feedChunk.pairs) Format::copy_stage(feedTarget + warp * (2 * Format::StageBytes) + lane * 16, feedSource, shape.tile_bytes(), lane);
      feedSource += Format::StageBytes;
      const u32 x = feedTarget + feedPiece, pieces = feedChunk.width() * Pieces, step = afresh(threads);
      #pragma unroll
      for (u32 i = 0; i < ThreadPieces; ++i)
        if (thread + i * step < pieces) copy_piece(x + i * (step / Pieces) * XRowBytes, feedRow[i]);
      // Only where a CTA has fewer threads than a quarter of the pieces.
      #pragma unroll 1
      for (u32 at = thread + ThreadPieces * step; at < pieces; at += step)
        copy_piece(x + (at - thread) / Pieces * XRowBytes, input_row(at / Pieces));
      feedInput += StageInputs;
      if (++feedStage == stagesOfK) { feedHalf += feedChunk.halves; open_feed(); }
    }
    feedTarget += stageBytes;
    if (feedTarget == ringEnd) feedTarget = ring;
    copy_async_commit();
  }

  template <int RowTiles> MEMBER void multiply(const Chunk& chunk) {
    const u32 odd = lane >> 2 & 1, lanes = (lane >> 2) * XRowBytes + (lane & 3) * 16;
    const u32 x0 = warps * (2 * Format::StageBytes) + lanes + odd * 64, x1 = warps * (2 * Format::StageBytes) + lanes + (odd ^ 1) * 64;
    const bool mine = warp < chunk.pairs;
    float total[2][RowTiles][4], acc[2][RowTiles][4];
    #pragma unroll
    for (int m = 0; m < 2; ++m)
      #pragma unroll
      for (int n = 0; n < RowTiles; ++n)
        #pragma unroll
        for (int j = 0; j < 4; ++j) { total[m][n][j] = -0.f; acc[m][n][j] = 0.f; }      // -0 + part0 is part0, also where it is -0

    u32 stage = 0;
    #pragma unroll 1
    for (u32 part = 0; part < Parts; ++part) {
      #pragma unroll 1
      for (const u32 end = shape.part_block(part + 1) * StagesPerBlock; stage < end; ++stage) {
        copy_async_wait(waitFor);
        sync_block();
        copy();
        if (mine) Format::template multiply_stage<RowTiles>(acc, slot + warp * (2 * Format::StageBytes) + lane * 16, slot + x0, slot + x1, lane);
        slot += stageBytes;
        if (slot == ringEnd) slot = ring;
      }
      #pragma unroll
      for (int m = 0; m < 2; ++m)
        #pragma unroll
        for (int n = 0; n < RowTiles; ++n)
          #pragma unroll
          for (int j = 0; j < 4; ++j) { total[m][n][j] += acc[m][n][j]; acc[m][n][j] = 0.f; }
    }

    if (!mine) return;
    const u32 tile = 2 * (chunk.firstPair + warp), row = afresh(lane), token0 = (row & 3) * 2;
    #pragma unroll
    for (int n = 0; n < RowTiles; ++n) {
      const u32 token = n * 8 + token0, at = chunk.block.first + token;
      const bool one = token < chunk.block.rows, two = token + 1 < chunk.block.rows;
      const u64 target0 = GateUp ? at : one ? map[at] : 0, target1 = GateUp ? at + 1 : two ? map[at + 1] : 0;
      store_tile<GateUp>(output, target0, target1, tile, row, shape.outputs, one, two, total[0][n]);
      store_tile<GateUp>(output, target0, target1, tile + 1, row, shape.outputs, one, two, total[1][n]);
    }
  }

  MEMBER void run(u32 blockCount, u32 stages) {
    thread = thread_index();
    threads = thread_count();
    lane = thread & 31;
    warp = thread >> 5;
    warps = threads >> 5;
    stageBytes = warps * (2 * Format::StageBytes) + rowsPerBlock * XRowBytes;
    ring = shared_base();
    ringEnd = ring + stages * stageBytes;
    granule = warps > 1 ? warps >> 1 : 1;
    perBlock = ((shape.tiles >> 1) + granule - 1) / granule;
    stagesOfK = shape.kBlocks * StagesPerBlock;
    waitFor = stages - 2;
    const Share share(blockCount * perBlock);
    endHalf = share.end;
    feedHalf = share.begin;
    feedTarget = slot = ring;
    const u32 token = thread / Pieces, piece = thread % Pieces;
    feedPiece = warps * (2 * Format::StageBytes) + token * XRowBytes + ((piece ^ (token & 1) << 2) << 4);
    open_feed();
    for (u32 i = 1; i < stages; ++i) copy();
    for (u32 half = share.begin; half < share.end;) {
      const Chunk chunk = Chunk::at(blocks, shape, half, endHalf, perBlock, granule, warps);
      if (chunk.width() == 8) multiply<1>(chunk);
      else if (chunk.width() == 16) multiply<2>(chunk);
      else if (chunk.width() == 32) multiply<4>(chunk);
      else multiply<8>(chunk);
      half += chunk.halves;
    }
  }
};

template <class Format, bool GateUp>
DEVICE void large_product(const u32* counts, const u8* blocks, const u32* map, const u16* input, u16* output,
                          u32 hidden, u32 intermediate, u32 rowsPerBlock, u32 stages) {
  LargeKernel<Format, GateUp> kernel(hidden, intermediate);
  kernel.blocks = blocks;
  kernel.map = map;
  kernel.input = input;
  kernel.output = output;
  kernel.rowsPerBlock = rowsPerBlock;
  kernel.run(counts[0], stages);
}

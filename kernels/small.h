// Up to 8 rows of an expert at a time: weights are the 16-row operand A of the tensor core, activation rows the 8 columns of B.
// The decode kernel: it must stream weights at the speed of the memory.
//
// A team of 4 warps takes a row tile (16 weight rows); its warps take the 4 parts of K and join through shared memory. Each
// warp has a ring of `stages` units of its own, filled by cp.async, that runs on across its tiles: the next tile's weights are
// on their way while this one is joined. A team waits for itself only (a named barrier), once a tile. Blocks whose rows fit in shared
// memory together (all of them, when experts have a row or two) are one phase: tiles then pass from one
// expert to the next with no barrier of the block.
//
// Bytes: each weight once; activations once per CTA and phase, from L2. In flight per SM: (stages - 1) * warps * UnitBytes, K2 on an
// H100 73 KB for gate_up, 129 KB for down; the memory needs 20 KB (29 KB on an H200) to keep its speed.
// Shared memory, in order: activations [rowsPerBlock][256 * KB + 64], blocks of the phase [8][16], joins [team][2][part][512], rings [warp][stages][unit].
// The 64 bytes put neighbouring rows into the two halves of the banks, which makes the 16-byte reads of a warp free of conflicts.
#pragma once
#include "formats.h"

enum { SmallRows = 8, TeamWarps = Parts, JoinBytes = Parts * 512 };

// The weights that one warp is fed: units of its part of K, tile after tile.
template <class Format, bool GateUp> struct SmallFeed {
  u32 meta, tiles, tileBytes, units, teams, lane;
  u64 offset;                       // of this part in the stream's first tile, for this lane
  u32 block, rowTile, tilesLeft, unitsLeft;
  const u8* source;

  MEMBER void open_tile() {
    source = Block(load_shared_quad(meta + block * 16)).slot() + offset + (u64)rowTile * tileBytes;
    unitsLeft = units;
  }

  MEMBER void step_tile(u32 by) {
    rowTile += by;
    while (rowTile >= tiles) { rowTile -= tiles; ++block; }
  }

  // Starts the copy of the next unit, if any is left, into a place that is free.
  MEMBER void copy(u32 target) {
    if (unitsLeft > 0) {
      Format::copy_unit(target, source, lane);
      source += Format::UnitBytes;
      if (--unitsLeft == 0 && --tilesLeft > 0) {
        step_tile(teams);
        open_tile();
      }
    }
  }
};

template <class Format, bool GateUp>
DEVICE void small_product(const u32* counts, const u8* blocks, const u32* map, const u16* input, u16* output,
                          u32 hidden, u32 intermediate, u32 rowsPerBlock, u32 stages) {
  const Shape<Format, GateUp> shape(hidden, intermediate);
  const u32 thread = thread_index(), threads = thread_count(), lane = thread & 31, warp = thread >> 5;
  const u32 team = warp / TeamWarps, part = warp % TeamWarps, teams = threads / (32 * TeamWarps);
  const u32 rowBytes = shape.kBlocks * 256 + 64;
  const u32 x = shared_base(), meta = x + rowsPerBlock * rowBytes, joins = meta + SmallRows * 16;
  const u32 ring = joins + teams * (2 * JoinBytes) + warp * stages * Format::UnitBytes + lane * 16, ringEnd = ring + stages * Format::UnitBytes;
  const u32 partBegin = shape.part_block(part) * Format::UnitsPerBlock;
  const u32 units = shape.part_block(part + 1) * Format::UnitsPerBlock - partBegin;

  SmallFeed<Format, GateUp> feed;
  feed.meta = meta;
  feed.tiles = shape.tiles;
  feed.tileBytes = shape.tile_bytes();
  feed.units = units;
  feed.teams = teams;
  feed.lane = lane;
  feed.offset = shape.streamOffset + partBegin * Format::UnitBytes + lane * 16;

  const u32 blockCount = counts[0];
  const Share share(blockCount * shape.tiles);
  const u32 teamJoins = joins + team * (2 * JoinBytes);
  u32 turn = 0, joiner = 0;

  for (u32 begin = share.begin; begin < share.end;) {
    // The phase: the blocks from this one on whose rows fit together. They are neighbours in the sorted order.
    const u32 block0 = begin / shape.tiles;
    const u32 first0 = Block::read(blocks, block0).first;
    if (begin != share.begin) sync_block();            // the last phase's shared memory is free
    if (thread < SmallRows) {
      const u32 index = block0 + thread;
      Block block({0, 0, 0, 0});
      if (index < blockCount && index * shape.tiles < share.end) {
        block = Block::read(blocks, index);
        if (block.first + block.rows - first0 > rowsPerBlock) block.rows = 0;
      }
      store_shared_quad(meta + thread * 16, {block.addressLow, block.addressHigh, block.first - first0, block.rows});
    }
    sync_block();
    u32 blocksHere = 0, rowsHere = 0;
    #pragma unroll 1
    for (; blocksHere < SmallRows; ++blocksHere) {
      const u32 rows = load_shared(meta + blocksHere * 16 + 12);
      if (rows == 0) break;
      rowsHere += rows;
    }
    if (blocksHere == 0) fail();                       // more rows than rowsPerBlock
    const u32 end = smaller(share.end, (block0 + blocksHere) * shape.tiles);

    // The first weights leave before the activations, whose addresses take a read; the others follow them. The rows of a phase pass
    // through the joins, which nobody uses now.
    const u32 from = afresh(thread);
    const u32 row = GateUp && from < rowsHere ? map[first0 + from] : 0;
    const u32 tile0 = begin + team;
    const u32 teamTiles = tile0 < end ? (end - tile0 + teams - 1) / teams : 0;
    feed.block = 0;
    feed.rowTile = begin - block0 * shape.tiles;
    feed.tilesLeft = teamTiles;
    feed.unitsLeft = 0;
    if (teamTiles > 0 && units > 0) {
      feed.step_tile(team);
      feed.open_tile();
    }
    feed.copy(ring);
    if (GateUp) {
      if (from < rowsHere) store_shared(joins + from * 4, row);
      sync_block();
    }
    #pragma unroll 1
    for (u32 i = 0; i < rowsHere; ++i) {
      const u16* source = input + (u64)(GateUp ? load_shared(joins + i * 4) : first0 + i) * shape.inputs;
      for (u32 piece = from; piece < shape.kBlocks * 16; piece += threads) {
        const bool inside = piece * 8 < shape.inputs;
        copy_async_or_zero(x + i * rowBytes + piece * 16, source + (inside ? piece * 8 : 0), inside ? 16 : 0);
      }
    }
    copy_async_commit();
    #pragma unroll 1
    for (u32 target = ring + Format::UnitBytes; target + Format::UnitBytes < ringEnd; target += Format::UnitBytes) { feed.copy(target); copy_async_commit(); }
    copy_async_wait(stages - 2);
    sync_block();

    u32 unit = ring, read = ringEnd - Format::UnitBytes, block = 0, rowTile = begin - block0 * shape.tiles + team;
    for (u32 left = teamTiles; left > 0; --left, rowTile += teams) {
      while (rowTile >= shape.tiles) { rowTile -= shape.tiles; ++block; }
      const Block here(load_shared_quad(meta + block * 16));
      const u32 place = here.first, rows = here.rows;
      // Lanes of rows that are not there read the last row; what they make is not stored.
      u32 xLane = x + (place + smaller(lane >> 2, rows - 1)) * rowBytes + (lane & 3) * 16 + partBegin * Format::UnitInputBytes;
      float acc[4] = {0.f, 0.f, 0.f, 0.f};
      #pragma unroll 1
      for (u32 i = units; i > 0; --i) {
        copy_async_wait(stages - 2);
        sync_warp();                                   // the unit is there for every lane, and the one before is read
        feed.copy(read);
        copy_async_commit();
        Format::multiply_unit(acc, unit, xLane, lane);
        xLane += Format::UnitInputBytes;
        read = unit;
        unit += Format::UnitBytes;
        if (unit == ringEnd) unit = ring;
      }

      // Two joins take turns, so that one barrier a tile is enough: nobody is two tiles ahead of the one who still reads.
      const u32 join = teamJoins + turn;
      store_shared_floats(join + part * 512 + lane * 16, acc);
      sync_team(1 + team, 32 * TeamWarps);
      if (part == joiner) {
        float sum[4];
        const FloatQuad p0 = load_shared_floats(join + lane * 16), p1 = load_shared_floats(join + 512 + lane * 16);
        const FloatQuad p2 = load_shared_floats(join + 1024 + lane * 16), p3 = load_shared_floats(join + 1536 + lane * 16);
        sum[0] = ((p0.x + p1.x) + p2.x) + p3.x;
        sum[1] = ((p0.y + p1.y) + p2.y) + p3.y;
        sum[2] = ((p0.z + p1.z) + p2.z) + p3.z;
        sum[3] = ((p0.w + p1.w) + p2.w) + p3.w;
        const u32 row = afresh(lane), token = (row & 3) * 2, at = first0 + place + token;
        const bool one = token < rows, two = token + 1 < rows;
        const u64 target0 = GateUp ? at : one ? map[at] : 0, target1 = GateUp ? at + 1 : two ? map[at + 1] : 0;
        store_tile<GateUp>(output, target0, target1, rowTile, row, shape.outputs, one, two, sum);
      }
      joiner = (joiner + 1) % TeamWarps;
      turn ^= JoinBytes;
    }
    begin = end;
  }
}

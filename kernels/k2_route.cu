// Sorts the pairs of a call by expert (a stable counting sort) and cuts each expert's rows into blocks for the products.
// One CTA of any size, sizes from the header in device memory: it fits a graph. Reference: a stable sort by expert.
//
// Warp w takes a contiguous part of the pairs, 32 at a time; equal experts among 32 find each other with match.any, and the
// lowest lane of them counts for all. Counts are kept by warp, so that nothing is atomic and the order is the pairs' own.
// Cost: reads 8 bytes a pair and 4 an expert, writes 9 a pair and 16 a block; a batch of decode is three dependent reads (header; pairs and slots; addresses).
// Shared memory: counts [warps][experts], first place [experts], sums of warps [2][32].
#include "ptx.h"

enum { Done = 1, NotHeld = 2, Failed = 3 };

static const u32 NoPlace = 0xffffffffu, NoExpert = 0xffffffffu;

KERNEL __launch_bounds__(1024, 1) k2_route(
    const u32* __restrict__ header, const u32* __restrict__ pairRow, const u32* __restrict__ pairExpert, const int* __restrict__ slotOf,
    const u32* __restrict__ slotAddress, u32 experts, u32* __restrict__ order, u32* __restrict__ rowOf, u8* __restrict__ blocks, u32* __restrict__ counts, u8* __restrict__ status) {
  const u32 thread = thread_index(), threads = thread_count(), lane = thread & 31, warp = thread >> 5, warps = threads >> 5;
  const Quad h = load_global_quad(header);
  const u32 pairs = h.x, rows = h.y, rowsPerBlock = h.w;
  const int* slots = slotOf + (u64)h.z * experts;
  const u32 counted = shared_base(), places = counted + warps * experts * 4, sums = places + experts * 4;
  const u32 mine = counted + warp * experts * 4;

  // A thread has neighbouring experts, one as a rule. That one's slot is asked for now, beside the pairs: two reads fewer to wait for later.
  const u32 each = (experts + threads - 1) / threads, expert0 = smaller(thread * each, experts), expert1 = smaller(expert0 + each, experts);
  const int slot0 = expert0 < expert1 ? slots[expert0] : -1;
  u32 low0 = 0, high0 = 0;
  if (slot0 >= 0) { low0 = slotAddress[2 * slot0]; high0 = slotAddress[2 * slot0 + 1]; }

  for (u32 i = thread; i < warps * experts; i += threads) store_shared(counted + i * 4, 0);
  sync_block();

  const u32 groups = (pairs + 31) >> 5, group0 = groups * warp / warps, group1 = groups * (warp + 1) / warps;
  #pragma unroll 1
  for (u32 group = group0; group < group1; ++group) {
    const u32 pair = group * 32 + lane;
    u32 expert = NoExpert;
    if (pair < pairs && pairExpert[pair] < experts && pairRow[pair] < rows) expert = pairExpert[pair];
    const u32 equal = match_any(expert);
    if (expert != NoExpert && (equal & ((1u << lane) - 1)) == 0)
      store_shared(mine + expert * 4, load_shared(mine + expert * 4) + __builtin_popcount(equal));
    sync_warp();
  }
  sync_block();

  // What is before each warp's pairs of an expert, and the sums of this thread's experts.
  u32 placed = 0, cut = 0;
  #pragma unroll 1
  for (u32 expert = expert0; expert < expert1; ++expert) {
    u32 before = 0;
    #pragma unroll 1
    for (u32 w = 0; w < warps; ++w) {
      const u32 at = counted + (w * experts + expert) * 4, count = load_shared(at);
      store_shared(at, before);
      before += count;
    }
    const bool held = before > 0 && (expert == expert0 ? slot0 : slots[expert]) >= 0;
    store_shared(places + expert * 4, held ? before : NoPlace);
    if (held) {
      placed += before;
      cut += (before + rowsPerBlock - 1) / rowsPerBlock;
    }
  }
  u32 place = placed, block = cut;
  #pragma unroll
  for (u32 distance = 1; distance < 32; distance *= 2) {
    const u32 p = shuffle_up(place, distance), b = shuffle_up(block, distance);
    if (lane >= distance) { place += p; block += b; }
  }
  if (lane == 31) { store_shared(sums + warp * 4, place); store_shared(sums + 128 + warp * 4, block); }
  sync_block();
  #pragma unroll 1
  for (u32 w = 0; w < warp; ++w) { place += load_shared(sums + w * 4); block += load_shared(sums + 128 + w * 4); }
  if (thread == threads - 1) store_global_quad(counts, {block, place, 0, 0});
  place -= placed;
  block -= cut;
  #pragma unroll 1
  for (u32 expert = expert0; expert < expert1; ++expert) {
    const u32 count = load_shared(places + expert * 4);
    if (count == NoPlace) continue;
    store_shared(places + expert * 4, place);
    u32 low = low0, high = high0;
    if (expert != expert0) {
      const u32* address = slotAddress + 2 * slots[expert];
      low = address[0];
      high = address[1];
    }
    #pragma unroll 1
    for (u32 done = 0; done < count; done += rowsPerBlock, ++block)
      store_global_quad(blocks + (u64)block * 16, {low, high, place + done, smaller(rowsPerBlock, count - done)});
    place += count;
  }
  sync_block();

  #pragma unroll 1
  for (u32 group = group0; group < group1; ++group) {
    const u32 pair = group * 32 + lane;
    u32 expert = NoExpert, row = 0;
    if (pair < pairs) {
      row = pairRow[pair];
      if (row < rows && pairExpert[pair] < experts) expert = pairExpert[pair];
    }
    const u32 equal = match_any(expert), before = equal & ((1u << lane) - 1);
    u32 at = NoPlace, warpPlace = 0;
    if (expert != NoExpert) {
      at = load_shared(places + expert * 4);
      warpPlace = load_shared(mine + expert * 4);
    }
    sync_warp();
    if (expert != NoExpert && before == 0) store_shared(mine + expert * 4, warpPlace + __builtin_popcount(equal));
    sync_warp();
    if (at != NoPlace) {
      at += warpPlace + __builtin_popcount(before);
      order[at] = pair;
      rowOf[at] = row;
    }
    if (pair < pairs) status[pair] = expert == NoExpert ? Failed : at == NoPlace ? NotHeld : Done;
  }
}

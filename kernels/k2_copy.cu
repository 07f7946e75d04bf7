// Copies memory: the bandwidth that the products are measured against (bytes read plus bytes written).
// Four 16-byte reads a thread are under way at a time: with 8 CTAs of 256 threads, 128 KB per SM.
#include "ptx.h"

KERNEL __launch_bounds__(1024) k2_copy(const u8* __restrict__ source, u8* __restrict__ target, u64 bytes) {
  const u64 step = (u64)block_count() * thread_count() * 16;
  u64 at = ((u64)block_index() * thread_count() + thread_index()) * 16;
  for (; at + 3 * step < bytes; at += 4 * step) {
    const Quad a = load_global_stream(source + at), b = load_global_stream(source + at + step);
    const Quad c = load_global_stream(source + at + 2 * step), d = load_global_stream(source + at + 3 * step);
    store_global_quad(target + at, a);
    store_global_quad(target + at + step, b);
    store_global_quad(target + at + 2 * step, c);
    store_global_quad(target + at + 3 * step, d);
  }
  for (; at < bytes; at += step) store_global_quad(target + at, load_global_stream(source + at));
}

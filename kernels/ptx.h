// What the kernels use of PTX, for clang without the CUDA toolkit (-nocudainc -nocudalib): attributes, special registers and
// one function for each instruction that has no C++ of its own. Every shared-memory access of the kernels goes through
// here, by address, so that the compiler neither reorders nor merges one.
#pragma once

#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))
#define DEVICE static __attribute__((device)) inline __attribute__((always_inline))
#define MEMBER __attribute__((device)) inline __attribute__((always_inline))
#define KERNEL extern "C" __global__ void

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct __attribute__((aligned(16))) Quad { u32 x, y, z, w; };
struct __attribute__((aligned(16))) FloatQuad { float x, y, z, w; };

DEVICE u32 thread_index() { return __nvvm_read_ptx_sreg_tid_x(); }
DEVICE u32 thread_count() { return __nvvm_read_ptx_sreg_ntid_x(); }
DEVICE u32 block_index() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE u32 block_count() { return __nvvm_read_ptx_sreg_nctaid_x(); }

// The same value, of which the compiler knows nothing: what is computed from it is computed where it stands, not once for the
// whole kernel and then kept in registers through the inner loop.
DEVICE u32 afresh(u32 value) { u32 v; asm volatile("mov.u32 %0, %1;" : "=r"(v) : "r"(value)); return v; }

DEVICE u32 smaller(u32 a, u32 b) { return a < b ? a : b; }

// ---- barriers ------------------------------------------------------------------------------------------------------------
DEVICE void sync_block() { asm volatile("bar.sync 0;" ::: "memory"); }
DEVICE void sync_warp() { asm volatile("bar.warp.sync 0xffffffff;" ::: "memory"); }
// A barrier of `threads` threads of the block; ids 1..15 are free for teams.
DEVICE void sync_team(u32 id, u32 threads) { asm volatile("bar.sync %0, %1;" :: "r"(id), "r"(threads) : "memory"); }

// Ends the kernel with an error of the context: a launch whose sizes contradict each other must neither hang nor write elsewhere.
DEVICE void fail() { asm volatile("trap;" ::: "memory"); }

// ---- warps ---------------------------------------------------------------------------------------------------------------
DEVICE u32 shuffle_up(u32 value, u32 lanes) { return (u32)__nvvm_shfl_sync_up_i32(0xffffffffu, (int)value, (int)lanes, 0); }
DEVICE u32 match_any(u32 value) { return (u32)__nvvm_match_any_sync_i32(0xffffffffu, (int)value); }

// ---- shared memory -------------------------------------------------------------------------------------------------------
extern __shared__ __attribute__((aligned(128))) u8 shared_memory[];
DEVICE u32 shared_base() { return (u32)(u64)(const __attribute__((address_space(3))) void*)shared_memory; }

DEVICE u32 load_shared(u32 address) {
  u32 v; asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address) : "memory"); return v; }
// Offsets that are known are part of the instruction, so that no sum is made for them.
template <int Offset = 0> DEVICE Quad load_shared_quad(u32 address) {
  Quad v; asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4+%5];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(address), "n"(Offset) : "memory"); return v; }
DEVICE FloatQuad load_shared_floats(u32 address) {
  FloatQuad v; asm volatile("ld.shared.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "r"(address) : "memory"); return v; }
DEVICE void store_shared(u32 address, u32 v) { asm volatile("st.shared.u32 [%0], %1;" :: "r"(address), "r"(v) : "memory"); }
DEVICE void store_shared_quad(u32 address, Quad v) {
  asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" :: "r"(address), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory"); }
DEVICE void store_shared_floats(u32 address, const float (&v)[4]) {
  asm volatile("st.shared.v4.f32 [%0], {%1,%2,%3,%4};" :: "r"(address), "f"(v[0]), "f"(v[1]), "f"(v[2]), "f"(v[3]) : "memory"); }

// ---- global memory -------------------------------------------------------------------------------------------------------
DEVICE Quad load_global_quad(const void* p) {
  Quad v; asm volatile("ld.global.nc.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p)); return v; }
DEVICE Quad load_global_stream(const void* p) {
  Quad v; asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
    : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p)); return v; }
DEVICE void store_global_quad(void* p, Quad v) {
  asm volatile("st.global.v4.u32 [%0], {%1,%2,%3,%4};" :: "l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory"); }

// 16 bytes from global to shared memory past the registers and L1. L2 fetches whole lines of 128 bytes.
template <int Offset = 0, int SourceOffset = Offset> DEVICE void copy_async(u32 target, const void* source) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0+%2], [%1+%3], 16;" :: "r"(target), "l"(source), "n"(Offset), "n"(SourceOffset) : "memory"); }
// The same, of which only the first `bytes` (0 or 16) are read; the rest become zeros.
DEVICE void copy_async_or_zero(u32 target, const void* source, u32 bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(target), "l"(source), "r"(bytes) : "memory"); }
// 4 bytes, for what a warp copies in one line of 128.
template <int Offset> DEVICE void copy_async_word(u32 target, const void* source) {
  asm volatile("cp.async.ca.shared.global [%0+%2], [%1+%2], 4;" :: "r"(target), "l"(source), "n"(Offset) : "memory"); }
DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int Pending> DEVICE void copy_async_wait() { asm volatile("cp.async.wait_group %0;" :: "n"(Pending) : "memory"); }
// Until at most `pending` of this thread's groups are under way. The instruction takes a constant only.
DEVICE void copy_async_wait(u32 pending) {
  if (pending >= 4) {
    if (pending == 4) copy_async_wait<4>(); else if (pending == 5) copy_async_wait<5>(); else copy_async_wait<6>();
  } else if (pending >= 2) {
    if (pending == 2) copy_async_wait<2>(); else copy_async_wait<3>();
  } else {
    if (pending == 1) copy_async_wait<1>(); else copy_async_wait<0>();
  }
}

// ---- numbers -------------------------------------------------------------------------------------------------------------
DEVICE float low_bf16(u32 pair) { return __builtin_bit_cast(float, pair << 16); }
DEVICE float high_bf16(u32 pair) { return __builtin_bit_cast(float, pair & 0xffff0000u); }
DEVICE u16 to_bf16(float v) { u16 r; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(v)); return r; }
DEVICE float silu(float g) {
  const float e = __nvvm_ex2_approx_ftz_f(g * -1.4426950408889634f);
  return g * __nvvm_rcp_approx_ftz_f(1.0f + e); }

// Nibbles 0 and 4 of w, each q+8, as the two BF16 numbers q: 0x4300 | q+8 is 128+q+8 exactly, and so is the sum with -136.
DEVICE u32 two_weights(u32 w) {
  u32 biased, exact;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(biased) : "r"(w), "r"(0x000f000fu), "r"(0x43004300u));
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(exact) : "r"(biased), "r"(0x3f803f80u), "r"(0xc308c308u));
  return exact; }

// d[16 x 8] = a[16 x 16] b[16 x 8] + c: lane l = (r = l>>2, t = l&3) holds rows r (d0, d1) and r+8 (d2, d3), columns 2t, 2t+1.
DEVICE void multiply_add(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1, const float (&c)[4]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
    : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
    : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3])); }

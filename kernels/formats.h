// The two weight formats: how a piece of a slot's stream comes into shared memory and goes through the tensor core.
// A lane (r = lane >> 2, t = lane & 3) holds, of each group of 32 inputs, inputs 8t .. 8t+7 of weight rows r and r+8 and of activation row r:
// weights of a group are then two mma of 16 inputs (the order of K inside a group is the same on both sides), one 16-byte
// read each for a lane's weights and activations, and no lane exchanges anything.
#pragma once
#include "expert.h"

struct Int4 {
  enum {
    BlockBytes = 1152,
    UnitBytes = 1152, UnitsPerBlock = 1, UnitInputBytes = 256,     // small: a whole block at a time
    StageGroups = 4, StageBytes = 1152                             // large: of one tile
  };

  // A warp copies one block: lanes 16 bytes each twice, and 4 of the scales (all lanes take part: no branch). Addresses here and
  // below are the lane's own: the unit's + 16 * lane.
  static MEMBER void copy_unit(u32 target, const u8* source, u32 lane) {
    copy_async(target, source);
    copy_async<512>(target, source);
    copy_async_word<1024>(target - lane * 12, source - lane * 12);
  }

  // Of two tiles that are tileBytes apart, one stage each.
  static MEMBER void copy_stage(u32 target, const u8* source, u32 tileBytes, u32 lane) {
    copy_unit(target, source, lane);
    copy_unit(target + StageBytes, source + tileBytes, lane);
  }

  struct Group { u32 a[4][2]; float scale0, scale1; };

  static MEMBER void dequantize(Group& g, u32 low, u32 high, u32 scales) {
    #pragma unroll
    for (int i = 0; i < 4; ++i) { g.a[i][0] = two_weights(low >> (4 * i)); g.a[i][1] = two_weights(high >> (4 * i)); }
    g.scale0 = low_bf16(scales);
    g.scale1 = high_bf16(scales);
  }

  static MEMBER void accumulate(float (&acc)[4], const Group& g, const Quad& x) {
    const float zero[4] = {0.f, 0.f, 0.f, 0.f};
    float half[4], d[4];
    multiply_add(half, g.a[0][0], g.a[0][1], g.a[1][0], g.a[1][1], x.x, x.y, zero);
    multiply_add(d, g.a[2][0], g.a[2][1], g.a[3][0], g.a[3][1], x.z, x.w, half);
    acc[0] = __builtin_fmaf(g.scale0, d[0], acc[0]);
    acc[1] = __builtin_fmaf(g.scale0, d[1], acc[1]);
    acc[2] = __builtin_fmaf(g.scale1, d[2], acc[2]);
    acc[3] = __builtin_fmaf(g.scale1, d[3], acc[3]);
  }

  // 16 rows x 128 inputs x 8 activation rows.
  static MEMBER void multiply_unit(float (&acc)[4], u32 unit, u32 x, u32 lane) {
    const Quad w0 = load_shared_quad(unit), w1 = load_shared_quad<512>(unit);
    const Quad s = load_shared_quad<1024>(unit - (lane - (lane >> 2)) * 16);
    const Quad x0 = load_shared_quad(x), x1 = load_shared_quad<64>(x), x2 = load_shared_quad<128>(x), x3 = load_shared_quad<192>(x);
    Group g;
    dequantize(g, w0.x, w0.y, s.x); accumulate(acc, g, x0);
    dequantize(g, w0.z, w0.w, s.y); accumulate(acc, g, x1);
    dequantize(g, w1.x, w1.y, s.z); accumulate(acc, g, x2);
    dequantize(g, w1.z, w1.w, s.w); accumulate(acc, g, x3);
  }

  // Two tiles x 128 inputs x 8 RowTiles activation rows; xEven and xOdd: this lane's 16 bytes of groups 0 and 1.
  template <int RowTiles>
  static MEMBER void multiply_stage(float (&acc)[2][RowTiles][4], u32 stage, u32 xEven, u32 xOdd, u32 lane) {
    const u32 scales = stage - (lane - (lane >> 2)) * 16;
    const Quad s0 = load_shared_quad<1024>(scales), s1 = load_shared_quad<StageBytes + 1024>(scales);
    #pragma unroll
    for (int half = 0; half < 2; ++half) {
      const Quad w0 = half ? load_shared_quad<512>(stage) : load_shared_quad<0>(stage);
      const Quad w1 = half ? load_shared_quad<StageBytes + 512>(stage) : load_shared_quad<StageBytes>(stage);
      #pragma unroll
      for (int odd = 0; odd < 2; ++odd) {
        Group g0, g1;
        dequantize(g0, odd ? w0.z : w0.x, odd ? w0.w : w0.y, half ? (odd ? s0.w : s0.z) : (odd ? s0.y : s0.x));
        dequantize(g1, odd ? w1.z : w1.x, odd ? w1.w : w1.y, half ? (odd ? s1.w : s1.z) : (odd ? s1.y : s1.x));
        const u32 x = (odd ? xOdd : xEven) + half * 128;
        #pragma unroll
        for (int n = 0; n < RowTiles; ++n) {
          const Quad b = load_shared_quad(x + n * (8 * StageGroups * 64));
          accumulate(acc[0][n], g0, b);
          accumulate(acc[1][n], g1, b);
        }
      }
    }
  }
};

struct Bf16 {
  enum {
    BlockBytes = 4096,
    UnitBytes = 1024, UnitsPerBlock = 4, UnitInputBytes = 64,      // small: a group at a time
    StageGroups = 2, StageBytes = 2048                             // large: of one tile
  };

  static MEMBER void copy_unit(u32 target, const u8* source, u32) {
    copy_async(target, source);
    copy_async<512>(target, source);
  }

  static MEMBER void copy_stage(u32 target, const u8* source, u32 tileBytes, u32 lane) {
    const u8* second = source + tileBytes;
    copy_unit(target, source, lane);
    copy_async<1024>(target, source);
    copy_async<1536>(target, source);
    copy_async<2048, 0>(target, second);
    copy_async<2560, 512>(target, second);
    copy_async<3072, 1024>(target, second);
    copy_async<3584, 1536>(target, second);
  }

  static MEMBER void accumulate(float (&acc)[4], const Quad& low, const Quad& high, const Quad& x) {
    float half[4];
    multiply_add(half, low.x, high.x, low.y, high.y, x.x, x.y, acc);
    multiply_add(acc, low.z, high.z, low.w, high.w, x.z, x.w, half);
  }

  static MEMBER void multiply_unit(float (&acc)[4], u32 unit, u32 x, u32) {
    const Quad low = load_shared_quad(unit), high = load_shared_quad<512>(unit);
    accumulate(acc, low, high, load_shared_quad(x));
  }

  template <int RowTiles>
  static MEMBER void multiply_stage(float (&acc)[2][RowTiles][4], u32 stage, u32 xEven, u32 xOdd, u32) {
    #pragma unroll
    for (int odd = 0; odd < 2; ++odd) {
      const u32 w = stage + odd * 1024;
      const Quad low0 = load_shared_quad(w), high0 = load_shared_quad<512>(w);
      const Quad low1 = load_shared_quad<2048>(w), high1 = load_shared_quad<2560>(w);
      #pragma unroll
      for (int n = 0; n < RowTiles; ++n) {
        const Quad b = load_shared_quad((odd ? xOdd : xEven) + n * (8 * StageGroups * 64));
        accumulate(acc[0][n], low0, high0, b);
        accumulate(acc[1][n], low1, high1, b);
      }
    }
  }
};

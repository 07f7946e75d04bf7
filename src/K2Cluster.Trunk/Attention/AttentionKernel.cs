using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Trunk.Attention;

/// <summary>
/// The two products of attention with a tile of the KV cache. A score is one chain of fused multiply-adds in 16 lanes over
/// the elements and then the stated tree; an output element is one chain over the tokens. Tiles of 4 heads × 4 only put
/// independent chains side by side, so a row has the same bits whatever stands beside it.
/// </summary>
internal static unsafe class AttentionKernel
{
    /// <summary>Heads that are done together.</summary>
    public const int HeadGroup = 4;

    private const int Tokens = ITrunk.PageTokens;
    private const int LaneCount = LaneMath.LaneCount;

    /// <summary>scores[64 h + t] = query h · token t, for the first <paramref name="count"/> tokens.</summary>
    /// <param name="query">[heads, width], one after the other.</param>
    /// <param name="heads">1 to 4.</param>
    /// <param name="tokens">[64, width] in BF16.</param>
    /// <param name="width">A multiple of 16.</param>
    /// <param name="count">1 to 64; later tokens are not read.</param>
    /// <param name="scores">[heads, 64].</param>
    /// <param name="ahead">Memory to bring near meanwhile: tokens that will be needed soon.</param>
    /// <param name="aheadBytes">How much of it.</param>
    public static void Scores<TLanes>(float* query, int heads, ushort* tokens, int width, int count, float* scores, byte* ahead, int aheadBytes)
        where TLanes : struct, ILanes<TLanes>
    {
        int t = 0;
        if (heads == HeadGroup)
        {
            for (; TLanes.HoldsWideTile && t + 4 <= count; t += 4)
            {
                Scores4x4<TLanes>(query, tokens + (t * width), width, scores + t);
                Fetch(ahead, aheadBytes, t, 4);
            }

            for (; t < count; t++)
            {
                Scores4x1<TLanes>(query, tokens + (t * width), width, scores + t);
                Fetch(ahead, aheadBytes, t, 1);
            }

            return;
        }

        for (; t < count; t++)
        {
            Fetch(ahead, aheadBytes, t, 1);
            for (int head = 0; head < heads; head++)
                scores[(head * Tokens) + t] = Score<TLanes>(query + (head * width), tokens + (t * width), width);
        }
    }

    /// <summary>output h = output h × factor h + Σ over t of weight h,t × token t; without <paramref name="resume"/> from zero.</summary>
    /// <param name="weights">[heads, 64].</param>
    /// <param name="heads">1 to 4.</param>
    /// <param name="tokens">[64, width] in BF16.</param>
    /// <param name="width">Elements from token to token.</param>
    /// <param name="count">1 to 64; later tokens are not read.</param>
    /// <param name="factors">[heads].</param>
    /// <param name="resume">Whether there is an output to go on from.</param>
    /// <param name="output">[heads, latent], one after the other.</param>
    /// <param name="latent">Elements of the token that are summed, a multiple of 16.</param>
    public static void Values<TLanes>(
        float* weights, int heads, ushort* tokens, int width, int count, float* factors, bool resume, float* output, int latent)
        where TLanes : struct, ILanes<TLanes>
    {
        int d = 0;
        if (heads == HeadGroup)
        {
            for (; TLanes.HoldsWideTile && d + (4 * LaneCount) <= latent; d += 4 * LaneCount)
                Values4x4<TLanes>(weights, tokens + d, width, count, factors, resume, output + d, latent);
            for (; d < latent; d += LaneCount)
                Values4x1<TLanes>(weights, tokens + d, width, count, factors, resume, output + d, latent);
            return;
        }

        for (; d < latent; d += LaneCount)
        {
            for (int head = 0; head < heads; head++)
                Value<TLanes>(weights + (head * Tokens), tokens + d, width, count, factors[head], resume, output + (head * latent) + d);
        }
    }

    /// <summary>
    /// The share that is due at token <paramref name="t"/>. A page of the cache comes from memory once for all heads: without
    /// this, the first of them wait for it, which makes a long context an eighth slower.
    /// </summary>
    private static void Fetch(byte* ahead, int bytes, int t, int tokens)
    {
        const int Line = 64;
        int end = bytes / Line * (t + tokens) / Tokens * Line;
        for (int at = bytes / Line * t / Tokens * Line; Sse.IsSupported && at < end; at += Line)
            Sse.Prefetch1(ahead + at);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Score<TLanes>(float* query, ushort* token, int width)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes sum = TLanes.Zero;
        for (int d = 0; d < width; d += LaneCount)
            sum = TLanes.FusedMultiplyAdd(TLanes.LoadBf16(token + d), TLanes.Load(query + d), sum);
        return TLanes.Sum(sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scores4x1<TLanes>(float* query, ushort* token, int width, float* scores)
        where TLanes : struct, ILanes<TLanes>
    {
        float* q1 = query + width;
        float* q2 = q1 + width;
        float* q3 = q2 + width;
        TLanes s0 = TLanes.Zero, s1 = TLanes.Zero, s2 = TLanes.Zero, s3 = TLanes.Zero;
        for (int d = 0; d < width; d += LaneCount)
        {
            TLanes k = TLanes.LoadBf16(token + d);
            s0 = TLanes.FusedMultiplyAdd(k, TLanes.Load(query + d), s0);
            s1 = TLanes.FusedMultiplyAdd(k, TLanes.Load(q1 + d), s1);
            s2 = TLanes.FusedMultiplyAdd(k, TLanes.Load(q2 + d), s2);
            s3 = TLanes.FusedMultiplyAdd(k, TLanes.Load(q3 + d), s3);
        }

        scores[0] = TLanes.Sum(s0);
        scores[Tokens] = TLanes.Sum(s1);
        scores[2 * Tokens] = TLanes.Sum(s2);
        scores[3 * Tokens] = TLanes.Sum(s3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scores4x4<TLanes>(float* query, ushort* token, int width, float* scores)
        where TLanes : struct, ILanes<TLanes>
    {
        ushort* k1 = token + width;
        ushort* k2 = k1 + width;
        ushort* k3 = k2 + width;
        float* q1 = query + width;
        float* q2 = q1 + width;
        float* q3 = q2 + width;
        TLanes s00 = TLanes.Zero, s01 = TLanes.Zero, s02 = TLanes.Zero, s03 = TLanes.Zero;
        TLanes s10 = TLanes.Zero, s11 = TLanes.Zero, s12 = TLanes.Zero, s13 = TLanes.Zero;
        TLanes s20 = TLanes.Zero, s21 = TLanes.Zero, s22 = TLanes.Zero, s23 = TLanes.Zero;
        TLanes s30 = TLanes.Zero, s31 = TLanes.Zero, s32 = TLanes.Zero, s33 = TLanes.Zero;
        for (int d = 0; d < width; d += LaneCount)
        {
            TLanes a = TLanes.LoadBf16(token + d), b = TLanes.LoadBf16(k1 + d), c = TLanes.LoadBf16(k2 + d), e = TLanes.LoadBf16(k3 + d);
            Step(a, b, c, e, TLanes.Load(query + d), ref s00, ref s01, ref s02, ref s03);
            Step(a, b, c, e, TLanes.Load(q1 + d), ref s10, ref s11, ref s12, ref s13);
            Step(a, b, c, e, TLanes.Load(q2 + d), ref s20, ref s21, ref s22, ref s23);
            Step(a, b, c, e, TLanes.Load(q3 + d), ref s30, ref s31, ref s32, ref s33);
        }

        StoreSums(s00, s01, s02, s03, scores);
        StoreSums(s10, s11, s12, s13, scores + Tokens);
        StoreSums(s20, s21, s22, s23, scores + (2 * Tokens));
        StoreSums(s30, s31, s32, s33, scores + (3 * Tokens));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Value<TLanes>(float* weights, ushort* token, int width, int count, float factor, bool resume, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes sum = Start<TLanes>(output, factor, resume);
        for (int t = 0; t < count; t++, token += width)
            sum = TLanes.FusedMultiplyAdd(TLanes.LoadBf16(token), TLanes.Broadcast(weights[t]), sum);
        TLanes.Store(sum, output);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Values4x1<TLanes>(
        float* weights, ushort* token, int width, int count, float* factors, bool resume, float* output, int latent)
        where TLanes : struct, ILanes<TLanes>
    {
        float* o1 = output + latent;
        float* o2 = o1 + latent;
        float* o3 = o2 + latent;
        TLanes s0 = Start<TLanes>(output, factors[0], resume), s1 = Start<TLanes>(o1, factors[1], resume);
        TLanes s2 = Start<TLanes>(o2, factors[2], resume), s3 = Start<TLanes>(o3, factors[3], resume);
        for (int t = 0; t < count; t++, token += width)
        {
            TLanes c = TLanes.LoadBf16(token);
            s0 = TLanes.FusedMultiplyAdd(c, TLanes.Broadcast(weights[t]), s0);
            s1 = TLanes.FusedMultiplyAdd(c, TLanes.Broadcast(weights[t + Tokens]), s1);
            s2 = TLanes.FusedMultiplyAdd(c, TLanes.Broadcast(weights[t + (2 * Tokens)]), s2);
            s3 = TLanes.FusedMultiplyAdd(c, TLanes.Broadcast(weights[t + (3 * Tokens)]), s3);
        }

        TLanes.Store(s0, output);
        TLanes.Store(s1, o1);
        TLanes.Store(s2, o2);
        TLanes.Store(s3, o3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Values4x4<TLanes>(
        float* weights, ushort* token, int width, int count, float* factors, bool resume, float* output, int latent)
        where TLanes : struct, ILanes<TLanes>
    {
        float* o1 = output + latent;
        float* o2 = o1 + latent;
        float* o3 = o2 + latent;
        float f0 = factors[0], f1 = factors[1], f2 = factors[2], f3 = factors[3];
        TLanes s00 = Start<TLanes>(output, f0, resume), s01 = Start<TLanes>(output + 16, f0, resume), s02 = Start<TLanes>(output + 32, f0, resume), s03 = Start<TLanes>(output + 48, f0, resume);
        TLanes s10 = Start<TLanes>(o1, f1, resume), s11 = Start<TLanes>(o1 + 16, f1, resume), s12 = Start<TLanes>(o1 + 32, f1, resume), s13 = Start<TLanes>(o1 + 48, f1, resume);
        TLanes s20 = Start<TLanes>(o2, f2, resume), s21 = Start<TLanes>(o2 + 16, f2, resume), s22 = Start<TLanes>(o2 + 32, f2, resume), s23 = Start<TLanes>(o2 + 48, f2, resume);
        TLanes s30 = Start<TLanes>(o3, f3, resume), s31 = Start<TLanes>(o3 + 16, f3, resume), s32 = Start<TLanes>(o3 + 32, f3, resume), s33 = Start<TLanes>(o3 + 48, f3, resume);
        for (int t = 0; t < count; t++, token += width)
        {
            TLanes a = TLanes.LoadBf16(token), b = TLanes.LoadBf16(token + 16), c = TLanes.LoadBf16(token + 32), e = TLanes.LoadBf16(token + 48);
            Step(a, b, c, e, TLanes.Broadcast(weights[t]), ref s00, ref s01, ref s02, ref s03);
            Step(a, b, c, e, TLanes.Broadcast(weights[t + Tokens]), ref s10, ref s11, ref s12, ref s13);
            Step(a, b, c, e, TLanes.Broadcast(weights[t + (2 * Tokens)]), ref s20, ref s21, ref s22, ref s23);
            Step(a, b, c, e, TLanes.Broadcast(weights[t + (3 * Tokens)]), ref s30, ref s31, ref s32, ref s33);
        }

        StoreFour(s00, s01, s02, s03, output);
        StoreFour(s10, s11, s12, s13, o1);
        StoreFour(s20, s21, s22, s23, o2);
        StoreFour(s30, s31, s32, s33, o3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Start<TLanes>(float* output, float factor, bool resume)
        where TLanes : struct, ILanes<TLanes> =>
        resume ? TLanes.Multiply(TLanes.Load(output), TLanes.Broadcast(factor)) : TLanes.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<TLanes>(
        TLanes a, TLanes b, TLanes c, TLanes d, TLanes factor, ref TLanes sum0, ref TLanes sum1, ref TLanes sum2, ref TLanes sum3)
        where TLanes : struct, ILanes<TLanes>
    {
        sum0 = TLanes.FusedMultiplyAdd(a, factor, sum0);
        sum1 = TLanes.FusedMultiplyAdd(b, factor, sum1);
        sum2 = TLanes.FusedMultiplyAdd(c, factor, sum2);
        sum3 = TLanes.FusedMultiplyAdd(d, factor, sum3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreSums<TLanes>(TLanes sum0, TLanes sum1, TLanes sum2, TLanes sum3, float* scores)
        where TLanes : struct, ILanes<TLanes>
    {
        scores[0] = TLanes.Sum(sum0);
        scores[1] = TLanes.Sum(sum1);
        scores[2] = TLanes.Sum(sum2);
        scores[3] = TLanes.Sum(sum3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreFour<TLanes>(TLanes sum0, TLanes sum1, TLanes sum2, TLanes sum3, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes.Store(sum0, output);
        TLanes.Store(sum1, output + LaneCount);
        TLanes.Store(sum2, output + (2 * LaneCount));
        TLanes.Store(sum3, output + (3 * LaneCount));
    }
}

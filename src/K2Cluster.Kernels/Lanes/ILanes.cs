using System.Diagnostics.CodeAnalysis;

namespace K2Cluster.Kernels.Lanes;

/// <summary>
/// Sixteen lanes of 32 bits, read as FP32 or, where an operation says "words", as integers. Kernels are written once, generic
/// over the lanes, and so give the same bits on every instruction set: each operation here is either exact or rounded once
/// (round to nearest even), and multiply-adds are fused only where <see cref="FusedMultiplyAdd"/> is written. Only the
/// payload of a NaN may differ between paths; <see cref="StoreBf16"/> makes even that one value.
/// </summary>
public unsafe interface ILanes<TSelf>
    where TSelf : struct, ILanes<TSelf>
{
    /// <summary>True where 32 vector registers hold a tile of 4 × 4 accumulators.</summary>
    static abstract bool HoldsWideTile { get; }

    static abstract TSelf Zero { get; }

    /// <summary>Loads 16 floats; no alignment asked.</summary>
    static abstract TSelf Load(float* source);

    static abstract void Store(TSelf value, float* destination);

    static abstract TSelf Broadcast(float value);

    static abstract TSelf Add(TSelf left, TSelf right);

    static abstract TSelf Subtract(TSelf left, TSelf right);

    static abstract TSelf Multiply(TSelf left, TSelf right);

    static abstract TSelf Divide(TSelf left, TSelf right);

    /// <summary>left × right + addend, rounded once.</summary>
    static abstract TSelf FusedMultiplyAdd(TSelf left, TSelf right, TSelf addend);

    /// <summary>left &gt; right ? left : right, so <paramref name="right"/> when either is NaN.</summary>
    static abstract TSelf Max(TSelf left, TSelf right);

    /// <summary>left &lt; right ? left : right, so <paramref name="right"/> when either is NaN.</summary>
    static abstract TSelf Min(TSelf left, TSelf right);

    static abstract TSelf Abs(TSelf value);

    /// <summary>To the nearest integer, halves to even.</summary>
    static abstract TSelf Round(TSelf value);

    /// <summary>2^<paramref name="exponent"/>, for integers in −126..127; unspecified elsewhere.</summary>
    static abstract TSelf PowerOfTwo(TSelf exponent);

    /// <summary>The stated tree: lanes i and i+8, then i and i+4, then i and i+2, then i and i+1.</summary>
    static abstract float Sum(TSelf value);

    /// <summary>Sixteen BF16 values, widened.</summary>
    static abstract TSelf LoadBf16(ushort* source);

    /// <summary>Rounds to nearest even; any NaN becomes 0x7FC0.</summary>
    static abstract void StoreBf16(TSelf value, ushort* destination);

    /// <summary>Loads 16 words as they are.</summary>
    static abstract TSelf LoadWords(uint* source);

    static abstract TSelf BroadcastWord(int word);

    /// <summary>Of words that hold two BF16: the low one, widened.</summary>
    static abstract TSelf LowBf16(TSelf words);

    /// <summary>Of words that hold two BF16: the high one, widened.</summary>
    static abstract TSelf HighBf16(TSelf words);

    /// <summary>The bits that both have.</summary>
    static abstract TSelf And(TSelf left, TSelf right);

    /// <summary>Shifts each unsigned 16-bit half of the words right by 0..15.</summary>
    static abstract TSelf ShiftPairsRight(TSelf words, [ConstantExpected] byte shift);

    /// <summary>Shifts int32 words right by 0..31, keeping the sign.</summary>
    static abstract TSelf ShiftWordsRight(TSelf words, [ConstantExpected] byte shift);

    /// <summary>
    /// sum + low(pairs) × low(*word) + high(pairs) × high(*word) in int32, of signed 16-bit halves. Exact as long as the caller
    /// keeps the sum within int32. The word comes from memory, as the load unit repeats it in all lanes at no cost.
    /// </summary>
    static abstract TSelf MultiplyAddPairs(TSelf sum, TSelf pairs, int* word);

    /// <summary>
    /// To each signed 16-bit half of sum: the products of that half's two bytes, unsigned, with the signed bytes at the same
    /// places of *word. Exact as long as the caller keeps the two products together, and the sum, within int16.
    /// </summary>
    static abstract TSelf MultiplyAddBytes(TSelf sum, TSelf bytes, int* word);

    /// <summary>low + high of the signed 16-bit halves, in int32.</summary>
    static abstract TSelf SumPairs(TSelf pairs);

    /// <summary>int32 sums.</summary>
    static abstract TSelf AddWords(TSelf left, TSelf right);

    /// <summary>int32 words to FP32, rounded to nearest even; exact up to 2^24.</summary>
    static abstract TSelf ConvertToSingle(TSelf words);
}

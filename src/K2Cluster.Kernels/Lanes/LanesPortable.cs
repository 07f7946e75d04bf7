using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Lanes;

/// <summary>Sixteen lanes in plain C#: runs everywhere, and says what each operation means.</summary>
public unsafe struct LanesPortable : ILanes<LanesPortable>
{
    private const int Count = 16;

    private Values _values;

    public static bool HoldsWideTile => false;

    public static LanesPortable Zero => default;

    public static LanesPortable Load(float* source)
    {
        LanesPortable result = default;
        new ReadOnlySpan<float>(source, Count).CopyTo(result._values);
        return result;
    }

    public static void Store(LanesPortable value, float* destination)
    {
        ReadOnlySpan<float> values = value._values;
        values.CopyTo(new Span<float>(destination, Count));
    }

    public static LanesPortable Broadcast(float value)
    {
        LanesPortable result = default;
        ((Span<float>)result._values).Fill(value);
        return result;
    }

    public static LanesPortable Add(LanesPortable left, LanesPortable right)
    {
        for (int i = 0; i < Count; i++)
            left._values[i] += right._values[i];
        return left;
    }

    public static LanesPortable Subtract(LanesPortable left, LanesPortable right)
    {
        for (int i = 0; i < Count; i++)
            left._values[i] -= right._values[i];
        return left;
    }

    public static LanesPortable Multiply(LanesPortable left, LanesPortable right)
    {
        for (int i = 0; i < Count; i++)
            left._values[i] *= right._values[i];
        return left;
    }

    public static LanesPortable Divide(LanesPortable left, LanesPortable right)
    {
        for (int i = 0; i < Count; i++)
            left._values[i] /= right._values[i];
        return left;
    }

    public static LanesPortable FusedMultiplyAdd(LanesPortable left, LanesPortable right, LanesPortable addend)
    {
        for (int i = 0; i < Count; i++)
            addend._values[i] = MathF.FusedMultiplyAdd(left._values[i], right._values[i], addend._values[i]);
        return addend;
    }

    public static LanesPortable Max(LanesPortable left, LanesPortable right)
    {
        for (int i = 0; i < Count; i++)
            right._values[i] = left._values[i] > right._values[i] ? left._values[i] : right._values[i];
        return right;
    }

    public static LanesPortable Min(LanesPortable left, LanesPortable right)
    {
        for (int i = 0; i < Count; i++)
            right._values[i] = left._values[i] < right._values[i] ? left._values[i] : right._values[i];
        return right;
    }

    public static LanesPortable Abs(LanesPortable value)
    {
        for (int i = 0; i < Count; i++)
            value._values[i] = MathF.Abs(value._values[i]);
        return value;
    }

    public static LanesPortable Round(LanesPortable value)
    {
        for (int i = 0; i < Count; i++)
            value._values[i] = MathF.Round(value._values[i], MidpointRounding.ToEven);
        return value;
    }

    public static LanesPortable PowerOfTwo(LanesPortable exponent)
    {
        for (int i = 0; i < Count; i++)
            exponent.SetWord(i, ((int)exponent._values[i] + 127) << 23);
        return exponent;
    }

    public static float Sum(LanesPortable value)
    {
        for (int half = Count / 2; half >= 1; half /= 2)
        {
            for (int i = 0; i < half; i++)
                value._values[i] += value._values[i + half];
        }

        return value._values[0];
    }

    public static LanesPortable LoadBf16(ushort* source)
    {
        LanesPortable result = default;
        for (int i = 0; i < Count; i++)
            result._values[i] = Bf16.ToSingle(source[i]);
        return result;
    }

    public static void StoreBf16(LanesPortable value, ushort* destination)
    {
        for (int i = 0; i < Count; i++)
            destination[i] = Bf16.FromSingle(value._values[i]);
    }

    public static LanesPortable LoadWords(uint* source) => Load((float*)source);

    public static LanesPortable BroadcastWord(int word)
    {
        LanesPortable result = default;
        for (int i = 0; i < Count; i++)
            result.SetWord(i, word);
        return result;
    }

    public static LanesPortable LowBf16(LanesPortable words)
    {
        for (int i = 0; i < Count; i++)
            words.SetWord(i, words.Word(i) << 16);
        return words;
    }

    public static LanesPortable HighBf16(LanesPortable words)
    {
        for (int i = 0; i < Count; i++)
            words.SetWord(i, words.Word(i) & unchecked((int)0xFFFF_0000));
        return words;
    }

    public static LanesPortable And(LanesPortable left, LanesPortable right)
    {
        for (int i = 0; i < Count; i++)
            left.SetWord(i, left.Word(i) & right.Word(i));
        return left;
    }

    public static LanesPortable ShiftPairsRight(LanesPortable words, [ConstantExpected] byte shift)
    {
        for (int i = 0; i < Count; i++)
        {
            uint word = (uint)words.Word(i);
            words.SetWord(i, (int)((word >> 16 >> shift << 16) | ((word & 0xFFFF) >> shift)));
        }

        return words;
    }

    public static LanesPortable ShiftWordsRight(LanesPortable words, [ConstantExpected] byte shift)
    {
        for (int i = 0; i < Count; i++)
            words.SetWord(i, words.Word(i) >> shift);
        return words;
    }

    public static LanesPortable MultiplyAddPairs(LanesPortable sum, LanesPortable pairs, int* word)
    {
        int low = (short)*word, high = *word >> 16;
        for (int i = 0; i < Count; i++)
        {
            int pair = pairs.Word(i);
            sum.SetWord(i, sum.Word(i) + ((short)pair * low) + ((pair >> 16) * high));
        }

        return sum;
    }

    public static LanesPortable MultiplyAddBytes(LanesPortable sum, LanesPortable bytes, int* word)
    {
        sbyte* factors = (sbyte*)word;
        for (int i = 0; i < Count; i++)
        {
            int four = bytes.Word(i), pair = sum.Word(i);
            int low = (short)pair + ((byte)four * factors[0]) + ((byte)(four >> 8) * factors[1]);
            int high = (pair >> 16) + ((byte)(four >> 16) * factors[2]) + ((byte)(four >> 24) * factors[3]);
            sum.SetWord(i, (low & 0xFFFF) | (high << 16));
        }

        return sum;
    }

    public static LanesPortable SumPairs(LanesPortable pairs)
    {
        for (int i = 0; i < Count; i++)
            pairs.SetWord(i, (short)pairs.Word(i) + (pairs.Word(i) >> 16));
        return pairs;
    }

    public static LanesPortable AddWords(LanesPortable left, LanesPortable right)
    {
        for (int i = 0; i < Count; i++)
            left.SetWord(i, left.Word(i) + right.Word(i));
        return left;
    }

    public static LanesPortable ConvertToSingle(LanesPortable words)
    {
        for (int i = 0; i < Count; i++)
            words._values[i] = words.Word(i);
        return words;
    }

    private readonly int Word(int lane) => BitConverter.SingleToInt32Bits(_values[lane]);

    private void SetWord(int lane, int word) => _values[lane] = BitConverter.Int32BitsToSingle(word);

    [InlineArray(Count)]
    private struct Values
    {
        private float _first;
    }
}

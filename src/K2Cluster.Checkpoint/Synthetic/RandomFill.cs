using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace K2Cluster.Checkpoint.Synthetic;

/// <summary>
/// The bytes of a made-up tensor, any piece of them by itself: each 64-bit draw depends on the seed, the tensor's name and its
/// place only. Integers and single roundings throughout, so the same bytes come out on every machine.
/// </summary>
internal abstract class RandomFill
{
    /// <summary>Pieces start at multiples of this many bytes.</summary>
    public const int Alignment = 16;

    /// <summary>BF16 near the normal distribution: the sum of four random bytes, which ends at 3.5 deviations.</summary>
    public static RandomFill Normal(double mean, double deviation) => new NormalFill(mean, deviation);

    /// <summary>F32 near the normal distribution.</summary>
    public static RandomFill NormalSingle(double deviation) => new NormalSingleFill(deviation);

    /// <summary>BF16, even between 0.8 and 1.2 times the centre.</summary>
    public static RandomFill Scales(double centre) => new ScaleFill(centre);

    /// <summary>INT4 from -7 to 7, stored plus 8, as K2's weights are; zero is drawn twice as often as the others.</summary>
    public static RandomFill Int4() => new Int4Fill();

    /// <summary>Standard deviation of <see cref="Int4"/>: the squares of -7 to 7 add up to 280, of 16 draws.</summary>
    public static double Int4Deviation => Math.Sqrt(280 / 16.0);

    /// <summary>Two I32, as <c>weight_shape</c> has them.</summary>
    public static RandomFill Shape(int rows, int columns) => new ShapeFill(rows, columns);

    public static ulong KeyOf(long seed, string tensor) =>
        BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes($"{seed}/{tensor}")));

    /// <param name="key">From <see cref="KeyOf"/>.</param>
    /// <param name="offset">Where in the tensor the piece begins: a multiple of <see cref="Alignment"/>.</param>
    /// <param name="destination">The piece.</param>
    public abstract void Fill(ulong key, long offset, Span<byte> destination);

    /// <summary>SplitMix64 at a place.</summary>
    private static ulong Draw(ulong key, long place)
    {
        ulong word = key + ((ulong)place * 0x9E3779B97F4A7C15);
        word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9;
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB;
        return word ^ (word >> 31);
    }

    /// <summary>The sum of the four low bytes, 0 to 1020: mean 510, variance 4 (256² - 1) / 12.</summary>
    private static int SumOfBytes(ulong word)
    {
        ulong pairs = (word & 0x00FF00FF) + ((word >> 8) & 0x00FF00FF);
        return (int)((pairs & 0xFFFF) + (pairs >> 16));
    }

    private static double NormalOf(int sum) => (sum - 510) / Math.Sqrt(4 * ((256.0 * 256) - 1) / 12);

    private static ushort ToBf16(double value)
    {
        uint bits = BitConverter.SingleToUInt32Bits((float)value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private sealed class NormalFill(double mean, double deviation) : RandomFill
    {
        private readonly ushort[] _valueOf = [.. Enumerable.Range(0, 1021).Select(sum => ToBf16(mean + (deviation * NormalOf(sum))))];

        public override void Fill(ulong key, long offset, Span<byte> destination)
        {
            Span<ushort> values = MemoryMarshal.Cast<byte, ushort>(destination);
            long place = offset / 4;
            int i = 0;
            for (; i + 2 <= values.Length; i += 2)
            {
                ulong word = Draw(key, place++);
                values[i] = _valueOf[SumOfBytes(word & uint.MaxValue)];
                values[i + 1] = _valueOf[SumOfBytes(word >> 32)];
            }

            if (i < values.Length)
                values[i] = _valueOf[SumOfBytes(Draw(key, place) & uint.MaxValue)];
        }
    }

    private sealed class NormalSingleFill(double deviation) : RandomFill
    {
        public override void Fill(ulong key, long offset, Span<byte> destination)
        {
            Span<float> values = MemoryMarshal.Cast<byte, float>(destination);
            for (int i = 0; i < values.Length; i++)
                values[i] = (float)(deviation * NormalOf(SumOfBytes(Draw(key, (offset / 4) + i) & uint.MaxValue)));
        }
    }

    private sealed class ScaleFill(double centre) : RandomFill
    {
        private readonly ushort[] _valueOf = [.. Enumerable.Range(0, 256).Select(step => ToBf16(centre * (0.8 + (0.4 * step / 255))))];

        public override void Fill(ulong key, long offset, Span<byte> destination)
        {
            Span<ushort> values = MemoryMarshal.Cast<byte, ushort>(destination);
            ulong word = 0;
            for (int i = 0; i < values.Length; i++)
            {
                word = i % 8 == 0 ? Draw(key, (offset / 16) + (i / 8)) : word >> 8;
                values[i] = _valueOf[word & 0xFF];
            }
        }
    }

    private sealed class Int4Fill : RandomFill
    {
        private const ulong LowBits = 0x1111111111111111;

        public override void Fill(ulong key, long offset, Span<byte> destination)
        {
            long place = offset / 8;
            while (destination.Length >= 8)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(destination, Weights(key, place++));
                destination = destination[8..];
            }

            // An I32 of its own, where their number is odd.
            if (destination.Length >= 4)
                BinaryPrimitives.WriteUInt32LittleEndian(destination, (uint)Weights(key, place));
        }

        /// <summary>Sixteen weights; a drawn 0, which would be -8, becomes 8, which is 0.</summary>
        private static ulong Weights(ulong key, long place)
        {
            ulong word = Draw(key, place);
            ulong isSet = word | (word >> 1) | (word >> 2) | (word >> 3);
            return word | ((~isSet & LowBits) << 3);
        }
    }

    private sealed class ShapeFill(int rows, int columns) : RandomFill
    {
        public override void Fill(ulong key, long offset, Span<byte> destination)
        {
            BinaryPrimitives.WriteInt32LittleEndian(destination, rows);
            BinaryPrimitives.WriteInt32LittleEndian(destination[4..], columns);
        }
    }
}

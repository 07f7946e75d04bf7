using System.Diagnostics;

namespace K2Cluster.Contracts.Wire;

/// <summary>An activity's identity as bytes: trace id (16), span id (8), flags (1); zeros when there is none.</summary>
internal static class TraceWire
{
    public const int Length = 16 + 8 + 1;

    public static void Write(Span<byte> bytes, ActivityContext trace)
    {
        bytes[..Length].Clear();
        if (trace == default)
            return;
        trace.TraceId.CopyTo(bytes[..16]);
        trace.SpanId.CopyTo(bytes.Slice(16, 8));
        bytes[24] = (byte)trace.TraceFlags;
    }

    public static ActivityContext Read(ReadOnlySpan<byte> bytes) =>
        bytes[..24].IndexOfAnyExcept((byte)0) < 0
            ? default
            : new ActivityContext(ActivityTraceId.CreateFromBytes(bytes[..16]), ActivitySpanId.CreateFromBytes(bytes.Slice(16, 8)), (ActivityTraceFlags)(bytes[24] & 1), isRemote: true);
}

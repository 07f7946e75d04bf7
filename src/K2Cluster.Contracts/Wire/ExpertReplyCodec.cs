using System.Buffers;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Cloning;
using Orleans.Serialization.Codecs;
using Orleans.Serialization.WireProtocol;

namespace K2Cluster.Contracts.Wire;

/// <summary>As <see cref="ExpertFrameCodec"/>, for replies. Writing consumes a reply: nobody else knows when Orleans has sent it.</summary>
[RegisterSerializer]
[RegisterCopier]
public sealed class ExpertReplyCodec : IFieldCodec<ExpertReply>, IDeepCopier<ExpertReply>, IOptionalDeepCopier
{
    /// <summary>Version, status, pairs, hidden size, length; the problem's text follows.</summary>
    private const int HeaderLength = 1 + 1 + (3 * sizeof(int));
    private const string Type = nameof(ExpertReply);

    /// <inheritdoc/>
    public void WriteField<TBufferWriter>(ref Writer<TBufferWriter> writer, uint fieldIdDelta, Type? expectedType, ExpertReply? value)
        where TBufferWriter : IBufferWriter<byte>
    {
        if (ReferenceCodec.TryWriteReferenceField(ref writer, fieldIdDelta, expectedType, value) || value is null)
            return;

        Span<byte> problem = stackalloc byte[FrameLimits.ProblemBytes];
        problem = problem[..PayloadWire.Encode(value.Problem, problem)];

        writer.WriteFieldHeader(fieldIdDelta, expectedType, typeof(ExpertReply), WireType.LengthPrefixed);
        writer.WriteVarUInt32((uint)(HeaderLength + PayloadWire.VarLength((uint)problem.Length) + problem.Length + value.Length));
        writer.WriteByte(PayloadWire.Version);
        writer.WriteByte((byte)value.Status);
        writer.WriteInt32(value.Pairs);
        writer.WriteInt32(value.HiddenSize);
        writer.WriteInt32(value.Length);
        writer.WriteVarUInt32((uint)problem.Length);
        writer.Write(problem);
        writer.Write(value.Payload.Span);
        value.Dispose();
    }

    /// <inheritdoc/>
    public ExpertReply? ReadValue<TInput>(ref Reader<TInput> reader, Field field)
    {
        if (field.WireType == WireType.Reference)
            return ReferenceCodec.ReadReference<ExpertReply, TInput>(ref reader, field);

        PayloadWire.CheckField(field, Type);
        long end = PayloadWire.ReadEnd(ref reader, Type);
        ReplyStatus status = (ReplyStatus)reader.ReadByte();
        int pairs = reader.ReadInt32();
        int hiddenSize = reader.ReadInt32();
        int length = reader.ReadInt32();
        string? problem = PayloadWire.ReadText(ref reader, FrameLimits.ProblemBytes, Type);
        bool allowed = status == ReplyStatus.Computed ? FrameLimits.AllowReply(pairs, hiddenSize, length) : status <= ReplyStatus.Malformed && length == 0;
        if (!allowed || length != end - reader.Position)
            throw new FrameFormatException($"{Type}: status {status}, {pairs} pairs and hidden size {hiddenSize} in {length} bytes of {end - reader.Position}.");

        ExpertReply reply = new() { Status = status, Pairs = pairs, HiddenSize = hiddenSize, Problem = problem };
        PayloadWire.ReadPayload(ref reader, reply, length);
        PayloadWire.CheckEnd(ref reader, end, Type);
        ReferenceCodec.RecordObject(reader.Session, reply);
        return reply;
    }

    /// <summary>A reply has one owner and is handed over, never copied.</summary>
    public ExpertReply? DeepCopy(ExpertReply? input, CopyContext context) => input;

    /// <inheritdoc/>
    public bool IsShallowCopyable() => true;
}

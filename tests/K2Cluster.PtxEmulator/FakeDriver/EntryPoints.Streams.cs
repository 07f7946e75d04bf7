using System.Diagnostics;
using System.Runtime.InteropServices;
using ManagedCuda.BasicTypes;

namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>Streams and events.</summary>
internal static unsafe partial class EntryPoints
{
    [UnmanagedCallersOnly(EntryPoint = "cuStreamCreateWithPriority")]
    private static CUResult StreamCreateWithPriority(CUstream* stream, CUStreamFlags flags, int priority)
    {
        CUResult result = Enter(out FakeDevice device);
        if (result != CUResult.Success)
            return result;
        stream->Pointer = Machine.Add(device.CreateStream((flags & CUStreamFlags.NonBlocking) != 0));
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuStreamDestroy_v2")]
    private static CUResult StreamDestroy(nint handle)
    {
        if (Remove<FakeStream>(handle) is not { } stream)
            return NotFound(handle, "is not a stream, or is destroyed again");
        stream.Device.DestroyStream(stream);
        return stream.Device.Sticky;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuStreamSynchronize")]
    private static CUResult StreamSynchronize(CUstream handle)
    {
        CUResult result = Enter(handle, out FakeDevice device, out FakeStream stream);
        if (result != CUResult.Success)
            return result;
        stream.Synchronize();
        return device.Sticky;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuStreamQuery")]
    private static CUResult StreamQuery(CUstream handle)
    {
        CUResult result = Enter(handle, out FakeDevice device, out FakeStream stream);
        if (result != CUResult.Success)
            return result;
        stream.Release();
        bool idle = stream.IsIdle;
        return device.Sticky != CUResult.Success ? device.Sticky : idle ? CUResult.Success : CUResult.ErrorNotReady;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuStreamWaitEvent")]
    private static CUResult StreamWaitEvent(CUstream handle, CUevent waited, uint flags)
    {
        CUResult result = Enter(handle, out FakeDevice device, out FakeStream stream);
        if (result != CUResult.Success)
            return result;
        if (Get<FakeEvent>(waited.Pointer) is not { } found)
            return NotFound(waited.Pointer, "is not an event, or was destroyed");
        long number = found.Asked();
        device.Enqueue(stream, () => found.WaitFor(number));
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuEventCreate")]
    private static CUResult EventCreate(CUevent* created, CUEventFlags flags)
    {
        CUResult result = Enter(out FakeDevice device);
        if (result != CUResult.Success)
            return result;
        created->Pointer = Machine.Add(new FakeEvent(device, (flags & CUEventFlags.DisableTiming) == 0));
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuEventDestroy_v2")]
    private static CUResult EventDestroy(nint handle) => Remove<FakeEvent>(handle) is { } found
        ? found.Device.Sticky
        : NotFound(handle, "is not an event, or is destroyed again");

    [UnmanagedCallersOnly(EntryPoint = "cuEventRecord")]
    private static CUResult EventRecord(CUevent recorded, CUstream handle)
    {
        CUResult result = Enter(handle, out FakeDevice device, out FakeStream stream);
        if (result != CUResult.Success)
            return result;
        if (Get<FakeEvent>(recorded.Pointer) is not { } found || found.Device != device)
            return NotFound(recorded.Pointer, $"is not an event of cuda:{device.Ordinal}, or was destroyed");
        found.Record(stream);
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuEventSynchronize")]
    private static CUResult EventSynchronize(CUevent waited)
    {
        if (Get<FakeEvent>(waited.Pointer) is not { } found)
            return NotFound(waited.Pointer, "is not an event, or was destroyed");
        found.Device.WaitFor(found);
        return found.Device.Sticky;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuEventQuery")]
    private static CUResult EventQuery(CUevent asked)
    {
        if (Get<FakeEvent>(asked.Pointer) is not { } found)
            return NotFound(asked.Pointer, "is not an event, or was destroyed");
        bool reached = found.IsReached;
        return found.Device.Sticky != CUResult.Success ? found.Device.Sticky : reached ? CUResult.Success : CUResult.ErrorNotReady;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuEventElapsedTime")]
    private static CUResult EventElapsedTime(float* milliseconds, CUevent start, CUevent end)
    {
        if (Get<FakeEvent>(start.Pointer) is not { Timed: true, WasRecorded: true } first || Get<FakeEvent>(end.Pointer) is not { Timed: true, WasRecorded: true } second)
            return Misuse(CUResult.ErrorInvalidHandle, "a time between events that were not recorded, or were made without times");
        if (first.Device.Sticky != CUResult.Success)
            return first.Device.Sticky;
        if (!first.IsReached || !second.IsReached)
            return CUResult.ErrorNotReady;
        *milliseconds = (float)Stopwatch.GetElapsedTime(first.Timestamp, second.Timestamp).TotalMilliseconds;
        return CUResult.Success;
    }
}

using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using ManagedCuda.BasicTypes;

namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>libcuda's functions over <see cref="FakeMachine.Current"/>, each found by its exported name.</summary>
internal static unsafe partial class EntryPoints
{
    private static readonly Dictionary<string, nint> Addresses = typeof(EntryPoints)
        .GetMethods(BindingFlags.Static | BindingFlags.NonPublic)
        .Select(method => (Method: method, method.GetCustomAttribute<UnmanagedCallersOnlyAttribute>()?.EntryPoint))
        .Where(found => found.EntryPoint is not null)
        .ToDictionary(found => found.EntryPoint!, found => found.Method.MethodHandle.GetFunctionPointer(), StringComparer.Ordinal);

    private static readonly Dictionary<CUResult, (nint Name, nint Text)> Texts = [];

    [ThreadStatic]
    private static Stack<nint>? _contexts;

    private static FakeMachine Machine => FakeMachine.Current ?? throw new InvalidOperationException("The fake driver is not installed.");

    private static Stack<nint> Contexts => _contexts ??= new Stack<nint>();

    /// <summary>A function's address, or zero.</summary>
    public static nint Find(string name) => Addresses.GetValueOrDefault(name);

    /// <summary>The device whose context is current on this thread, when it can be used.</summary>
    private static CUResult Enter(out FakeDevice device)
    {
        device = null!;
        if (FakeMachine.Current is not { } machine)
            return CUResult.ErrorDeinitialized;
        if (Contexts.Count == 0 || machine.Get<FakeDevice>(Contexts.Peek()) is not { } current)
            return Misuse(CUResult.ErrorInvalidContext, "no context is current on this thread");
        device = current;
        return current.Sticky;
    }

    /// <summary>The same, and a stream of it.</summary>
    private static CUResult Enter(CUstream handle, out FakeDevice device, out FakeStream stream)
    {
        stream = null!;
        CUResult result = Enter(out device);
        if (result != CUResult.Success)
            return result;
        stream = handle.Pointer == 0 ? device.NullStream : Get<FakeStream>(handle.Pointer)!;
        if (stream is null)
            return NotFound(handle.Pointer, "is not a stream, or was destroyed");
        return stream.Device == device ? CUResult.Success : Misuse(CUResult.ErrorInvalidHandle, $"a stream of cuda:{stream.Device.Ordinal} while cuda:{device.Ordinal} is current");
    }

    /// <summary>A call that a program must not make: noted, and answered with an error that passes.</summary>
    private static CUResult Misuse(CUResult error, string what)
    {
        FakeMachine.Current?.Note(what);
        return error;
    }

    /// <summary>A handle that is not what it should be; silently, where it is of a machine that was taken away.</summary>
    private static CUResult NotFound(nint handle, string what) => FakeMachine.Current is { } machine && (int)(handle >> 32) == machine.Generation
        ? Misuse(CUResult.ErrorInvalidHandle, $"0x{handle:x} {what}")
        : CUResult.ErrorDeinitialized;

    private static T? Get<T>(nint handle)
        where T : class => FakeMachine.Current?.Get<T>(handle);

    private static T? Remove<T>(nint handle)
        where T : class => FakeMachine.Current?.Remove<T>(handle);

    [UnmanagedCallersOnly(EntryPoint = "cuInit")]
    private static CUResult Init(uint flags) => FakeMachine.Current is { Devices.Count: > 0 } ? CUResult.Success : CUResult.ErrorNoDevice;

    [UnmanagedCallersOnly(EntryPoint = "cuGetErrorName")]
    private static CUResult GetErrorName(CUResult error, byte** name)
    {
        *name = (byte*)Explain(error).Name;
        return *name == null ? CUResult.ErrorInvalidValue : CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuGetErrorString")]
    private static CUResult GetErrorString(CUResult error, byte** text)
    {
        *text = (byte*)Explain(error).Text;
        return *text == null ? CUResult.ErrorInvalidValue : CUResult.Success;
    }

    /// <summary>
    /// Names as the real driver spells them, made from the enumeration's: ErrorOutOfMemory is CUDA_ERROR_OUT_OF_MEMORY. The
    /// enumeration's are ManagedCuda's, which leave "Error" out here and there.
    /// </summary>
    private static (nint Name, nint Text) Explain(CUResult error)
    {
        if (!Enum.IsDefined(error))
            return default;
        lock (Texts)
        {
            if (!Texts.TryGetValue(error, out (nint Name, nint Text) text))
            {
                string name = error.ToString().Replace("NVLink", "Nvlink", StringComparison.Ordinal);
                if (error != CUResult.Success && !name.StartsWith("Error", StringComparison.Ordinal))
                    name = "Error" + name;
                string words = WordBoundary().Replace(name, " ");
                text = (Marshal.StringToCoTaskMemUTF8("CUDA_" + words.Replace(' ', '_').ToUpperInvariant()), Marshal.StringToCoTaskMemUTF8($"{words.ToLowerInvariant()} (fake driver)"));
                Texts.Add(error, text);
            }

            return text;
        }
    }

    [GeneratedRegex("(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")]
    private static partial Regex WordBoundary();
}

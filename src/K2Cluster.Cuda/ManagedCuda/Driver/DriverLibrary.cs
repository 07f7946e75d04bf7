using System.Runtime.InteropServices;

namespace ManagedCuda;

/// <summary>Where the driver's functions come from: the system's libcuda, or what a test puts in its place.</summary>
internal static class DriverLibrary
{
    private static readonly string[] Names = OperatingSystem.IsWindows() ? ["nvcuda.dll"] : ["libcuda.so.1", "libcuda.so"];
    private static readonly Lock Gate = new();
    private static Func<string, nint>? _find;
    private static Driver? _driver;

    /// <summary>
    /// Gives the address of one of the driver's functions by its exported name, or zero; null for the system's driver. Setting
    /// it forgets the functions found before: only for before anything of the driver is used, or after all of it was disposed.
    /// </summary>
    internal static Func<string, nint>? Find
    {
        get => _find;
        set
        {
            lock (Gate)
            {
                _find = value;
                _driver = null;
            }
        }
    }

    /// <summary>The driver's functions, found and initialised on first use.</summary>
    /// <exception cref="DllNotFoundException">There is no driver on this machine.</exception>
    /// <exception cref="EntryPointNotFoundException">The driver is too old.</exception>
    /// <exception cref="CudaException">The driver cannot be initialised.</exception>
    internal static Driver Load()
    {
        if (Volatile.Read(ref _driver) is { } driver)
            return driver;
        lock (Gate)
        {
            if (_driver is null)
            {
                Driver found = new(_find ?? FindInSystem());
                found.Initialize();
                Volatile.Write(ref _driver, found);
            }

            return _driver;
        }
    }

    /// <summary>The driver when it was found already, for texts of errors: these must not fail.</summary>
    internal static Driver? Loaded => Volatile.Read(ref _driver);

    private static Func<string, nint> FindInSystem()
    {
        foreach (string name in Names)
        {
            if (NativeLibrary.TryLoad(name, out nint library))
                return function => NativeLibrary.TryGetExport(library, function, out nint address) ? address : 0;
        }

        throw new DllNotFoundException($"There is no CUDA driver on this machine: {Names[0]} cannot be loaded.");
    }
}

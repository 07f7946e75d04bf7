using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.GpuCheck.Tests;

/// <summary>Changes one kernel's text on its way into the fake driver, while it lives.</summary>
internal sealed unsafe partial class EditedPtx : IDisposable
{
    private static EditedPtx? _current;

    private readonly Func<string, nint> _before;
    private readonly string _kernel;
    private readonly Func<string, string> _edit;
    private readonly delegate* unmanaged<CUmodule*, void*, uint, CUJITOption*, nint*, CUResult> _load;

    public EditedPtx(string kernel, Func<string, string> edit)
    {
        (_kernel, _edit, _before) = (kernel, edit, DriverLibrary.Find!);
        _load = (delegate* unmanaged<CUmodule*, void*, uint, CUJITOption*, nint*, CUResult>)_before("cuModuleLoadDataEx");
        _current = this;
        DriverLibrary.Find = name => name == "cuModuleLoadDataEx" ? (nint)(delegate* unmanaged<CUmodule*, void*, uint, CUJITOption*, nint*, CUResult>)&Load : _before(name);
    }

    public int Edits { get; private set; }

    /// <summary>The last store to global memory is left out.</summary>
    public static string LoseAStore(string body)
    {
        Match last = GlobalStore().Matches(body)[^1];
        return body.Remove(last.Index, last.Length);
    }

    /// <summary>Every product of matrices gets its second operand's registers the wrong way round: the inputs of a group in another order than its weights.</summary>
    public static string SwapOperands(string body) => Mma().Replace(body, "$1{$3, $2}");

    public void Dispose()
    {
        DriverLibrary.Find = _before;
        _current = null;
    }

    [UnmanagedCallersOnly]
    private static CUResult Load(CUmodule* module, void* image, uint count, CUJITOption* options, nint* values)
    {
        string text = Marshal.PtrToStringUTF8((nint)image)!;
        int start = text.IndexOf($".entry {_current!._kernel}(", StringComparison.Ordinal);
        if (start >= 0)
        {
            int next = text.IndexOf(".entry ", start + 1, StringComparison.Ordinal);
            string body = next < 0 ? text[start..] : text[start..next];
            string edited = _current._edit(body);
            _current.Edits += edited == body ? 0 : 1;
            text = text.Replace(body, edited, StringComparison.Ordinal);
        }

        fixed (byte* edited = Encoding.UTF8.GetBytes(text + '\0'))
            return _current._load(module, edited, count, options, values);
    }

    [GeneratedRegex(@"^[ \t]*(@!?%p\d+ )?[ \t]*st\.global[^;]*;", RegexOptions.Multiline)]
    private static partial Regex GlobalStore();

    [GeneratedRegex(@"(mma\.sync[^;]*?\{[^}]*\}\s*,\s*\{[^}]*\}\s*,\s*)\{\s*(%\w+)\s*,\s*(%\w+)\s*\}", RegexOptions.Singleline)]
    private static partial Regex Mma();
}

using System.Text.RegularExpressions;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;
using K2Cluster.Tests;

namespace K2Cluster.PtxEmulator.Tests.Kernels;

/// <summary>
/// Faults put into the committed PTX, one at a time: each must be met by a check or show in the numbers. What is found here
/// would be found if a kernel's author made the same mistake.
/// </summary>
public sealed partial class MutationTests
{
    /// <summary>The right result of each kind of case, to compare bits.</summary>
    private static readonly Dictionary<(bool, bool), ushort[]> Right = [];

    public static TheoryData<bool, bool> Kinds => new() { { false, false }, { false, true }, { true, false }, { true, true } };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Each_barrier_of_the_products_is_needed(bool bf16, bool large) =>
        EachIsFound(bf16, large, Products(bf16), "bar.sync", "", Used(bf16, large));

    [Fact]
    public void Each_barrier_of_the_route_is_needed() => EachIsFound(bf16: false, large: false, "k2_route", "bar.sync", "", kernel => kernel == "k2_route");

    [Fact]
    public void Each_warp_barrier_of_the_route_is_needed() => EachIsFound(bf16: false, large: false, "k2_route", "bar.warp.sync", "", kernel => kernel == "k2_route");

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Each_wait_for_copies_is_needed(bool bf16, bool large) =>
        AnyIsFound(bf16, large, Products(bf16), "cp.async.wait_group", line => WaitCount().Replace(line, "wait_group 7;"), Used(bf16, large), most: 100);

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_flipped_order_of_factors_shows_in_the_numbers(bool bf16, bool large)
    {
        foreach (string product in new[] { "gate_up", "down" })
            Expect(Edit(Products(bf16), $"k2_{product}_{(bf16 ? "bf16" : "int4")}_{(large ? "large" : "small")}", "mma.sync", SwapHalvesOfA), bf16, large);
    }

    [Fact]
    public void A_flipped_nibble_order_shows_in_the_numbers()
    {
        // Of the eight nibbles of a word: each shift by nibbles becomes the neighbour's.
        foreach (int shift in new[] { 4, 8, 12 })
            Expect(Edit("k2_int4", "k2_gate_up_int4_small", "shr.u32", line => line.Contains($", {shift};", StringComparison.Ordinal) ? line.Replace($", {shift};", $", {shift ^ 4};", StringComparison.Ordinal) : line), bf16: false, large: false);
    }

    [Theory]
    [InlineData("k2_gate_up_int4_small")]
    [InlineData("k2_down_int4_small")]
    [InlineData("k2_gate_up_int4_large")]
    [InlineData("k2_down_int4_large")]
    public void An_offset_of_one_element_is_found(string kernel)
    {
        bool large = kernel.EndsWith("large", StringComparison.Ordinal);
        foreach (string opcode in new[] { "ld.shared", "st.shared", "ld.global", "st.global" })
        {
            // The large kernels store to shared memory by copies alone.
            if (large && opcode == "st.shared")
                continue;
            Expect(Edit("k2_int4", kernel, opcode, line => Address().Replace(line, match => $"[{match.Groups[1].Value}+{Offset(match) + 2}]")), bf16: false, large);
            Expect(Edit("k2_int4", kernel, opcode, line => Address().Replace(line, match => $"[{match.Groups[1].Value}+{Offset(match) + 16}]")), bf16: false, large);
        }
    }

    [Theory]
    [InlineData("k2_route", "k2_route")]
    [InlineData("k2_shuffle", "k2_shuffle_int4")]
    [InlineData("k2_int4", "k2_gate_up_int4_small")]
    [InlineData("k2_int4", "k2_down_int4_small")]
    [InlineData("k2_int4", "k2_gate_up_int4_large")]
    [InlineData("k2_int4", "k2_down_int4_large")]
    public void A_bound_that_is_off_by_one_is_found(string file, string kernel)
    {
        bool large = kernel.EndsWith("large", StringComparison.Ordinal);
        // Each comparison of the kernel, made to take one more or one less. Many leave the result as it was: theirs are loops that
        // never come to the limit exactly, or that do nothing once more.
        (int found, int harmless) = Count(bf16: false, large, file, "setp.", OffByOne, name => name == kernel, most: 12);
        Assert.True(found >= 3, $"{found} found, {harmless} not");
    }

    private static string Products(bool bf16) => bf16 ? "k2_bf16" : "k2_int4";

    private static Func<string, bool> Used(bool bf16, bool large) =>
        kernel => kernel.EndsWith($"_{(bf16 ? "bf16" : "int4")}_{(large ? "large" : "small")}", StringComparison.Ordinal);

    /// <summary>Every instruction of the kind, replaced one at a time, is found.</summary>
    private static void EachIsFound(bool bf16, bool large, string file, string opcode, string replacement, Func<string, bool> kernels)
    {
        (int found, int harmless) = Count(bf16, large, file, opcode, _ => replacement, kernels);
        Assert.True(found > 0 && harmless == 0, $"{found} found, {harmless} not");
    }

    private static void AnyIsFound(bool bf16, bool large, string file, string opcode, Func<string, string> change, Func<string, bool> kernels, int most = 6)
    {
        (int found, int harmless) = Count(bf16, large, file, opcode, change, kernels, most);
        Assert.True(found > harmless, $"{found} found, {harmless} not");
    }

    private static (int Found, int Harmless) Count(bool bf16, bool large, string file, string opcode, Func<string, string> change, Func<string, bool> kernels, int most = 12)
    {
        int found = 0;
        int harmless = 0;
        string[] lines = File.ReadAllLines(Repository.Path("kernels", "ptx", "sm_80", file + ".ptx"));
        (string Kernel, int Line)[] places = [.. Places(file, opcode).Where(place => kernels(place.Kernel) && change(lines[place.Line - 1]) != lines[place.Line - 1])];
        // Evenly among them, so that a large kernel's copies of one loop do not take long.
        int step = Math.Max(1, places.Length / most);
        for (int i = 0; i < places.Length; i += step)
        {
            (string Kernel, int Line) place = places[i];
            Func<string, string, string> Changed(Func<string, string> to) => (name, text) => name == file ? ChangeLine(text, place.Line, to) : text;
            // Where a trap is not met, this case never comes: a variant for other sizes.
            if (!IsFound(Changed(_ => "trap;"), bf16, large))
                continue;
            if (IsFound(Changed(change), bf16, large))
                found++;
            else
                harmless++;
        }

        return (found, harmless);
    }

    private static void Expect(Func<string, string, string> edit, bool bf16, bool large) => Assert.True(IsFound(edit, bf16, large));

    /// <summary>A fault, or other bits than the right ones.</summary>
    private static bool IsFound(Func<string, string, string> edit, bool bf16, bool large)
    {
        try
        {
            ushort[] output = ExpertRun.Run(Cases.Many(bf16, large) with { Edit = edit }, new EmulatorOptions { Workers = 1, MaxInstructions = 3_000_000 }).Output;
            return !output.AsSpan().SequenceEqual(RightOutput(bf16, large));
        }
        catch (PtxFaultException)
        {
            return true;
        }
    }

    private static ushort[] RightOutput(bool bf16, bool large)
    {
        lock (Right)
        {
            if (!Right.TryGetValue((bf16, large), out ushort[]? output))
                Right.Add((bf16, large), output = ExpertRun.Run(Cases.Many(bf16, large)).Output);
            return output;
        }
    }

    private static IEnumerable<(string Kernel, int Line)> Places(string file, string opcode)
    {
        string text = File.ReadAllText(Repository.Path("kernels", "ptx", "sm_80", file + ".ptx"));
        foreach (PtxKernel kernel in PtxModule.Parse(text, file).Kernels)
        {
            foreach ((int line, string name) in kernel.Instructions.Where(instruction => instruction.Opcode.StartsWith(opcode, StringComparison.Ordinal)))
                yield return (kernel.Name, line);
        }
    }

    /// <summary>Changes the instructions of a kernel that begin as said.</summary>
    private static Func<string, string, string> Edit(string file, string kernel, string opcode, Func<string, string> change)
    {
        int[] lines = [.. Places(file, opcode).Where(place => place.Kernel == kernel).Select(place => place.Line)];
        Assert.NotEmpty(lines);
        return (name, text) =>
        {
            if (name != file)
                return text;
            string changed = text;
            foreach (int line in lines)
                changed = ChangeLine(changed, line, change);
            Assert.NotEqual(text, changed);
            return changed;
        };
    }

    private static string ChangeLine(string text, int line, Func<string, string> change)
    {
        string[] lines = text.Split('\n');
        lines[line - 1] = change(lines[line - 1]);
        return string.Join('\n', lines);
    }

    private static string OffByOne(string line) => line
        .Replace("setp.ge.", "setp.GT.", StringComparison.Ordinal)
        .Replace("setp.gt.", "setp.ge.", StringComparison.Ordinal)
        .Replace("setp.GT.", "setp.gt.", StringComparison.Ordinal)
        .Replace("setp.le.", "setp.LT.", StringComparison.Ordinal)
        .Replace("setp.lt.", "setp.le.", StringComparison.Ordinal)
        .Replace("setp.LT.", "setp.lt.", StringComparison.Ordinal)
        .Replace("setp.eq.", "setp.NE.", StringComparison.Ordinal)
        .Replace("setp.ne.", "setp.eq.", StringComparison.Ordinal)
        .Replace("setp.NE.", "setp.ne.", StringComparison.Ordinal);

    /// <summary>{a0,a1,a2,a3} as {a2,a3,a0,a1}: k 0..7 for k 8..15.</summary>
    private static string SwapHalvesOfA(string line)
    {
        string[] parts = line.Split('{');
        string[] a = parts[2].Split('}')[0].Split(',');
        parts[2] = string.Join(',', a[2].Trim(), a[3].Trim(), a[0].Trim(), a[1].Trim()) + parts[2][parts[2].IndexOf('}', StringComparison.Ordinal)..];
        return string.Join('{', parts);
    }

    private static int Offset(Match match) => match.Groups[2].Success ? int.Parse(match.Groups[2].Value, System.Globalization.CultureInfo.InvariantCulture) : 0;

    /// <summary>With two stages each copy is waited for at once: the variants that wait for older ones are for more stages.</summary>
    [GeneratedRegex(@"wait_group\s+0;")]
    private static partial Regex WaitCount();

    [GeneratedRegex(@"\[(%\w+)(?:\+(-?\d+))?\]")]
    private static partial Regex Address();
}

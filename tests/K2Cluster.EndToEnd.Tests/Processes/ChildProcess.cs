using System.Diagnostics;
using System.Runtime.InteropServices;

namespace K2Cluster.EndToEnd.Tests.Processes;

/// <summary>A real process with its output kept: waits for a line with a bound, is asked to stop, or killed.</summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private const int SignalTerminate = 15;

    private readonly Process _process;
    private readonly Lock _lock = new();
    private readonly List<string> _output = [];
    private readonly List<string> _errors = [];
    private readonly List<(Func<string, bool> Match, TaskCompletionSource<string> Found)> _waits = [];
    private readonly Task _outputRead;
    private readonly Task _errorRead;

    private ChildProcess(Process process)
    {
        _process = process;
        _outputRead = ReadAsync(process.StandardOutput, _output);
        _errorRead = ReadAsync(process.StandardError, _errors);
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    public string Output => Text(_output);

    public string Errors => Text(_errors);

    public static ChildProcess Start(string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null, string? workingDirectory = null)
    {
        ProcessStartInfo start = new(file, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            UseShellExecute = false,
            WorkingDirectory = workingDirectory ?? Path.GetTempPath(),
        };
        foreach ((string key, string value) in environment ?? new Dictionary<string, string>())
            start.Environment[key] = value;
        Process process = Process.Start(start) ?? throw new InvalidOperationException($"{file} did not start.");
        process.StandardInput.Close();
        return new ChildProcess(process);
    }

    /// <summary>Waits for a line of standard output or error.</summary>
    public async Task<string> WaitForLineAsync(Func<string, bool> match, TimeSpan limit)
    {
        TaskCompletionSource<string> found = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            string? seen = _output.Concat(_errors).FirstOrDefault(match);
            if (seen is not null)
                return seen;
            _waits.Add((match, found));
        }

        Task exited = _process.WaitForExitAsync();
        Task first = await Task.WhenAny(found.Task, exited, Task.Delay(limit));
        if (first == found.Task || found.Task.IsCompleted)
            return await found.Task;
        throw new InvalidOperationException($"{(first == exited ? $"Exited with {_process.ExitCode}" : $"Nothing in {limit.TotalSeconds} s")}.\n{Output}\n{Errors}");
    }

    public async Task<int> WaitForExitAsync(TimeSpan limit)
    {
        using CancellationTokenSource timeout = new(limit);
        try
        {
            await _process.WaitForExitAsync(timeout.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"Still running after {limit.TotalSeconds} s.\n{Output}\n{Errors}");
        }

        await Task.WhenAll(_outputRead, _errorRead).WaitAsync(limit);
        return _process.ExitCode;
    }

    /// <summary>Sends a signal by its number; false when the process is gone.</summary>
    public bool TrySignal(int signal) => SendSignal(_process.Id, signal) == 0;

    /// <summary>SIGTERM, then the exit code.</summary>
    public Task<int> StopAsync(TimeSpan? limit = null)
    {
        if (!_process.HasExited)
            _ = TrySignal(SignalTerminate);
        return WaitForExitAsync(limit ?? TimeSpan.FromSeconds(30));
    }

    /// <summary>SIGKILL.</summary>
    public Task KillAsync()
    {
        _process.Kill(entireProcessTree: true);
        return WaitForExitAsync(TimeSpan.FromSeconds(10));
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            await KillAsync();
        _process.Dispose();
    }

    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static extern int SendSignal(int process, int signal);

    private string Text(List<string> lines)
    {
        lock (_lock)
            return string.Join('\n', lines);
    }

    private async Task ReadAsync(StreamReader reader, List<string> lines)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            lock (_lock)
            {
                lines.Add(line);
                foreach ((Func<string, bool> match, TaskCompletionSource<string> found) in _waits)
                {
                    if (match(line))
                        found.TrySetResult(line);
                }
            }
        }
    }
}

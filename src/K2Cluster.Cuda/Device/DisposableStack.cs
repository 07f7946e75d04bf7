namespace K2Cluster.Cuda.Device;

/// <summary>What was made, to be disposed in the opposite order: also when making the next thing failed.</summary>
internal sealed class DisposableStack : IDisposable
{
    private readonly Stack<IDisposable> _made = new();

    public T Add<T>(T made)
        where T : IDisposable
    {
        _made.Push(made);
        return made;
    }

    public void Dispose()
    {
        while (_made.TryPop(out IDisposable? made))
            made.Dispose();
    }
}

using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Trunk.Attention;

/// <summary>
/// The KV cache of a range of layers: for each layer and page 64 tokens of [latent | roped key] in BF16, each of the two
/// zero padded to whole groups of 16. Fresh pages hold whatever the memory held: nothing reads a token before it is written.
/// </summary>
internal sealed unsafe class KvMemory : IDisposable
{
    private readonly AlignedMemory _memory;

    public KvMemory(ModelConfig config, int layers, int pages)
    {
        LatentWidth = Padded(config.KvLoraRank);
        TokenWidth = LatentWidth + Padded(config.QkRopeHeadDim);
        PageCount = pages;
        // Not zeroed: memory that no token reached yet need not be there.
        _memory = new AlignedMemory(PageBytes(config, layers) * pages, zeroed: false);
    }

    public int PageCount { get; }

    /// <summary>Elements of the latent, padded.</summary>
    public int LatentWidth { get; }

    /// <summary>Elements of a token: the latent, then the roped key.</summary>
    public int TokenWidth { get; }

    /// <summary>Bytes that a page takes in <paramref name="layers"/> layers.</summary>
    public static long PageBytes(ModelConfig config, int layers) =>
        (long)layers * ITrunk.PageTokens * (Padded(config.KvLoraRank) + Padded(config.QkRopeHeadDim)) * sizeof(ushort);

    /// <summary>The first token of a page.</summary>
    /// <param name="layer">From 0 at the first layer that this memory serves.</param>
    /// <param name="page">A page id that was checked.</param>
    public ushort* Page(int layer, int page) =>
        (ushort*)_memory.Pointer + ((((long)layer * PageCount) + page) * ITrunk.PageTokens * TokenWidth);

    public void Copy(int layer, PageCopy copy)
    {
        long bytes = (long)copy.Tokens * TokenWidth * sizeof(ushort);
        Buffer.MemoryCopy(Page(layer, copy.Source), Page(layer, copy.Destination), bytes, bytes);
    }

    public void Dispose() => _memory.Dispose();

    private static int Padded(int elements) => (elements + 15) / 16 * 16;
}

using System.Security.Cryptography;

namespace K2Cluster.Cuda.Device;

/// <summary>The kernels' PTX, embedded in this assembly, of the best target that a card can take.</summary>
internal sealed class PtxImages
{
    /// <summary>PTX for one of these runs on every card of that capability or a greater one. The best first.</summary>
    private static readonly Version[] Targets = [new(9, 0), new(8, 0)];

    private readonly Version _target;

    private PtxImages(Version target) => _target = target;

    /// <summary>"sm_90".</summary>
    public string Target => Name(_target);

    /// <exception cref="NotSupportedException">The card is too old.</exception>
    public static PtxImages For(Version capability) =>
        new(Array.Find(Targets, target => target <= capability)
            ?? throw new NotSupportedException($"Compute capability {capability} is less than {CudaCard.LeastCapability}, the least that the kernels run on."));

    public static string Name(Version capability) => $"sm_{capability.Major}{capability.Minor}";

    /// <summary>A file of kernels/ptx by its name without the extension, and a zero, which the driver looks for.</summary>
    /// <exception cref="InvalidOperationException">The program was built without it.</exception>
    public byte[] Read(string name)
    {
        string path = $"ptx/{Target}/{name}.ptx";
        using Stream stream = typeof(PtxImages).Assembly.GetManifestResourceStream(path)
            ?? throw new InvalidOperationException($"This program was built without kernels/{path}.");
        byte[] bytes = new byte[stream.Length + 1];
        stream.ReadExactly(bytes, 0, bytes.Length - 1);
        return bytes;
    }

    /// <summary>What tells these images from others with other bits: 8 hexadecimal digits.</summary>
    public static string Hash(params IEnumerable<byte[]> images)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (byte[] image in images)
            hash.AppendData(image);
        return Convert.ToHexStringLower(hash.GetHashAndReset().AsSpan(0, 4));
    }
}

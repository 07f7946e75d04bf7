using System.Buffers.Binary;
using System.Runtime.InteropServices;
using K2Cluster.Tests;

namespace K2Cluster.Checkpoint.Tests;

public sealed partial class TensorSourceTests
{
    private const string First = "model-00001-of-00002.safetensors";
    private const string Second = "model-00002-of-00002.safetensors";
    private const string Embedding = "model.embed_tokens.weight";

    [Fact]
    public void Reads_give_the_bytes_of_the_file_at_any_offset()
    {
        using ModelDirectory model = ModelDirectory.Open(Repository.Fixture("tiny-k2"));
        byte[] file = File.ReadAllBytes(Repository.Fixture("tiny-k2", First));
        int dataStart = 8 + (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        Assert.True(model.Tensors.TryGet("model.layers.0.self_attn.q_a_proj.weight", out TensorInfo? tensor));

        // The header says that it lies at 262144 to 278528 of the data.
        Assert.Equal([64, 128], tensor.Shape);
        Assert.Equal(16384, tensor.ByteLength);
        foreach ((int offset, int length) in new[] { (0, 16384), (0, 1), (16383, 1), (1234, 4321), (16384, 0) })
        {
            byte[] read = new byte[length];
            model.Tensors.Read(tensor, offset, read);
            Assert.Equal(file[(dataStart + 262144 + offset)..][..length], read);
        }
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(16384, 1)]
    [InlineData(16380, 5)]
    [InlineData(0, 16385)]
    [InlineData(long.MaxValue, 1)]
    [InlineData(long.MinValue, 1)]
    public void Reads_never_leave_a_tensor(long offset, int length)
    {
        using ModelDirectory model = ModelDirectory.Open(Repository.Fixture("tiny-k2"));
        Assert.True(model.Tensors.TryGet("model.layers.0.self_attn.q_a_proj.weight", out TensorInfo? tensor));

        CheckpointException failure = Assert.Throws<CheckpointException>(() => model.Tensors.Read(tensor, offset, new byte[length]));

        Assert.Contains(First, failure.Message);
        Assert.Contains("model.layers.0.self_attn.q_a_proj.weight", failure.Message);
    }

    [Fact]
    public void A_file_that_shrinks_while_it_is_open_is_an_error_with_names()
    {
        using TemporaryDirectory directory = TemporaryDirectory.CopyOf(Repository.Fixture("tiny-k2"));
        using ModelDirectory model = ModelDirectory.Open(directory.Path);
        Assert.True(model.Tensors.TryGet(Embedding, out TensorInfo? tensor));
        using (FileStream file = new(Path.Combine(directory.Path, First), FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            file.SetLength(100_000);

        CheckpointException failure = Assert.Throws<CheckpointException>(() => model.Tensors.Read(tensor, 0, new byte[tensor.ByteLength]));

        Assert.Contains(First, failure.Message);
        Assert.Contains(Embedding, failure.Message);
        Assert.Contains("truncated", failure.Message);
    }

    [Fact]
    public void A_process_touches_only_the_files_of_the_tensors_it_asks_for()
    {
        using TemporaryDirectory directory = TemporaryDirectory.CopyOf(Repository.Fixture("tiny-k2"));
        File.Delete(Path.Combine(directory.Path, Second));
        using ModelDirectory model = ModelDirectory.Open(directory.Path);

        model.Catalog.CheckTrunk(model.Tensors, 0, 1);
        model.Catalog.CheckExpert(model.Tensors, 1, 15);

        Assert.Contains(Second, Assert.Throws<CheckpointException>(() => model.Catalog.CheckTrunk(model.Tensors, 0, 4)).Message);
        File.Copy(Repository.Fixture("tiny-k2", Second), Path.Combine(directory.Path, Second));
        model.Catalog.CheckTrunk(model.Tensors, 0, 4);
    }

    [Fact]
    public void Links_into_a_store_of_blobs_are_followed()
    {
        using TemporaryDirectory blobs = TemporaryDirectory.CopyOf(Repository.Fixture("tiny-k2"));
        using TemporaryDirectory snapshot = new();
        foreach (string file in Directory.EnumerateFiles(blobs.Path))
            File.CreateSymbolicLink(Path.Combine(snapshot.Path, Path.GetFileName(file)), Path.Combine("..", Path.GetFileName(blobs.Path), Path.GetFileName(file)));

        using ModelDirectory model = ModelDirectory.Open(snapshot.Path);

        Checkpoints.CheckAll(model);
    }

    [Fact]
    public void A_pipe_in_place_of_a_file_is_refused_and_not_waited_for()
    {
        if (OperatingSystem.IsWindows())
            return;
        using TemporaryDirectory directory = TemporaryDirectory.CopyOf(Repository.Fixture("tiny-k2"));
        string path = Path.Combine(directory.Path, "config.json");
        File.Delete(path);
        Assert.Equal(0, MakeFifo(path, Convert.ToUInt32("600", 8)));

        Assert.Contains("config.json", Assert.Throws<CheckpointException>(() => ModelDirectory.Open(directory.Path)).Message);
    }

    [Fact]
    public void A_directory_that_is_not_there_is_named()
    {
        string path = Path.Combine(Path.GetTempPath(), "k2cluster-absent", "model");

        Assert.Contains(path, Assert.Throws<CheckpointException>(() => ModelDirectory.Open(path)).Message);
    }

    [Fact]
    public void Many_threads_may_ask_and_read_at_once()
    {
        using ModelDirectory model = ModelDirectory.Open(Repository.Fixture("tiny-k2"));
        byte[] expected = new byte[262144];
        using (ModelDirectory alone = ModelDirectory.Open(Repository.Fixture("tiny-k2")))
        {
            Assert.True(alone.Tensors.TryGet(Embedding, out TensorInfo? tensor));
            alone.Tensors.Read(tensor, 0, expected);
        }

        Parallel.For(0, 64, new ParallelOptions { MaxDegreeOfParallelism = 8 }, _ =>
        {
            Assert.True(model.Tensors.TryGet(Embedding, out TensorInfo? tensor));
            byte[] read = new byte[expected.Length];
            model.Tensors.Read(tensor, 0, read);
            Assert.Equal(expected, read);
        });
    }

    [Fact]
    public void Nothing_is_opened_after_the_end()
    {
        ModelDirectory model = ModelDirectory.Open(Repository.Fixture("tiny-k2"));
        model.Dispose();

        Assert.Throws<ObjectDisposedException>(() => model.Tensors.TryGet(Embedding, out _));
    }

    [LibraryImport("libc", EntryPoint = "mkfifo", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MakeFifo(string path, uint mode);
}

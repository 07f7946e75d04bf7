using K2Cluster.Tests;

namespace K2Cluster.Checkpoint.Tests;

/// <summary>A checkpoint is told from another of its shape, wherever it lies.</summary>
public sealed class CheckpointFingerprintTests : IDisposable
{
    private static readonly CheckpointShape Shape = CheckpointShape.K2Thinking with { Layers = 2, Experts = 2, ExpertsPerToken = 2, Vocabulary = 64 };

    private readonly TemporaryDirectory _here = new();
    private readonly TemporaryDirectory _there = new();

    public void Dispose()
    {
        _here.Dispose();
        _there.Dispose();
    }

    [Fact]
    public void A_copy_is_the_same_whenever_it_was_made_and_whatever_its_files_say_beside_the_model()
    {
        WriteBoth();
        string config = Path.Combine(_there.Path, "config.json");
        File.WriteAllText(config, File.ReadAllText(config).Insert(1, "\"transformers_version\": \"9\", "));
        foreach (string file in Directory.EnumerateFiles(_there.Path))
            File.SetLastWriteTimeUtc(file, DateTime.UnixEpoch);
        Assert.Null(Difference());
    }

    [Fact]
    public void Another_value_of_the_configuration_is_another_checkpoint()
    {
        WriteBoth();
        string config = Path.Combine(_there.Path, "config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"num_experts_per_tok\":2", "\"num_experts_per_tok\":1"));
        Assert.Equal("config.json states other values of the model", Difference());

        File.Copy(Path.Combine(_here.Path, "config.json"), config, overwrite: true);
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"ignore\":[", "\"ignore\":[\"nothing\","));
        Assert.Equal("config.json states other values of the model", Difference());
    }

    [Fact]
    public void Other_weights_are_another_checkpoint_and_the_file_is_named()
    {
        WriteBoth();
        string first = Directory.GetFiles(_there.Path, "*.safetensors").Order().First();
        Flip(first, -1);
        Assert.Equal($"{Path.GetFileName(first)} has other content", Difference());

        CheckpointWriter.Write(_there.Path, Shape, seed: 2);
        Assert.Equal($"{Path.GetFileName(first)} and 2 more of 3 files have other content", Difference());

        Directory.Delete(_there.Path, recursive: true);
        Directory.CreateDirectory(_there.Path);
        CheckpointWriter.Write(_there.Path, Shape, singleFile: true);
        Assert.Equal("its weights lie in other files", Difference());
    }

    [Fact]
    public void A_file_that_one_lacks_is_not_compared()
    {
        WriteBoth();
        File.Delete(Directory.GetFiles(_there.Path, "*.safetensors").Order().First());
        Assert.Null(Difference());
        Flip(Directory.GetFiles(_there.Path, "*.safetensors").Order().Last(), -1);
        Assert.Contains("has other content", Difference());
    }

    [Theory]
    [InlineData(8, false)] // in the header
    [InlineData(10, false)] // the first byte of the data
    [InlineData(-1, false)]
    [InlineData(-8192, true)] // between two samples
    public void A_large_file_is_sampled_from_its_first_byte_to_its_last(int position, bool same)
    {
        CheckpointWriter.Write(_here.Path, Shape, singleFile: true);
        File.Copy(Path.Combine(_here.Path, "config.json"), Path.Combine(_there.Path, "config.json"));
        foreach (string directory in new[] { _here.Path, _there.Path })
        {
            using FileStream file = File.Create(Path.Combine(directory, "model.safetensors"));
            file.Write([2, 0, 0, 0, 0, 0, 0, 0, (byte)'{', (byte)'}']);
            file.SetLength(16 << 20);
        }

        Assert.Null(Difference());
        Flip(Path.Combine(_there.Path, "model.safetensors"), position);
        Assert.Equal(same, Difference() is null);
    }

    [Theory]
    [InlineData("")]
    [InlineData("00000000000000000000000000000000")]
    [InlineData("000000000000000000000000000000000000000")]
    [InlineData("0000000000000000000000000000000g00000000")]
    public void What_is_no_fingerprint_is_none(string text) => Assert.Null(CheckpointFingerprint.TryParse(text));

    private void WriteBoth()
    {
        CheckpointWriter.Write(_here.Path, Shape);
        CheckpointWriter.Write(_there.Path, Shape);
    }

    /// <summary>As the process there sees it, of which it knows what a row says.</summary>
    private string? Difference()
    {
        using ModelDirectory here = ModelDirectory.Open(_here.Path);
        using ModelDirectory there = ModelDirectory.Open(_there.Path);
        return CheckpointFingerprint.Of(there).DifferenceFrom(CheckpointFingerprint.TryParse(CheckpointFingerprint.Of(here).ToString())!);
    }

    private static void Flip(string path, int position)
    {
        using FileStream file = File.Open(path, FileMode.Open);
        file.Seek(position, position < 0 ? SeekOrigin.End : SeekOrigin.Begin);
        int value = file.ReadByte();
        file.Seek(-1, SeekOrigin.Current);
        file.WriteByte((byte)(value ^ 0xFF));
    }
}

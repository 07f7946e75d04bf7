using K2Cluster.Checkpoint;
using K2Cluster.Tests;

namespace K2Cluster.Trunk.Tests;

public sealed class BatchCheckTests : IDisposable
{
    private readonly ModelDirectory _model = ModelDirectory.Open(Repository.Fixture("tiny-k2-ramp"));
    private readonly TrunkHarness _harness;

    public BatchCheckTests() => _harness = new TrunkHarness(_model, maxRows: 80, pages: 4);

    public static TheoryData<string, string> Faults => new()
    {
        { "token below", "row 2 has token -1" },
        { "token beyond", "row 2 has token 1024" },
        { "position below", "positions -1..3" },
        { "position beyond", "the model has 0..8191" },
        { "position gap", "row 3 has position 9 after 2" },
        { "position back", "row 1 has position 0 after 0" },
        { "positions missing", "there must be one each" },
        { "logit marks missing", "there must be one each" },
        { "rows without sequence", "its sequences have 5 rows of 6" },
        { "sequence too long", "has 7 rows from 0 on" },
        { "sequence empty", "sequence 1 has 0 rows" },
        { "sequence overflows", "has 2147483647 rows" },
        { "sequence elsewhere", "sequence 0 has 5 rows from 1 on" },
        { "pages too few", "position 64 needs 2" },
        { "pages outside the table", "in a table of 1" },
        { "pages before the table", "1 pages from -1 on" },
        { "page beyond", "page 4; ids run from 0 to 3" },
        { "page below", "page -1" },
        { "copy source", "a copy reads page 9" },
        { "copy destination", "a copy writes page -3" },
        { "copy too long", "a copy of 65 tokens" },
        { "copy negative", "a copy of -1 tokens" },
        { "freed", "freed is page 77" },
        { "too many rows", "81 rows; this trunk takes 80" },
    };

    public void Dispose()
    {
        _harness.Dispose();
        _model.Dispose();
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_batch_that_is_not_well_formed_is_refused(string fault, string words)
    {
        TrunkBatch batch = new();
        batch.Tokens.AddRange([1, 2, 3, 4, 5]);
        batch.Positions.AddRange([0, 1, 2, 3, 4]);
        batch.NeedsLogits.AddRange([false, false, false, false, true]);
        batch.Sequences.Add(new SequenceSlice(0, 5, 0, 1));
        batch.PageTable.Add(2);
        _harness.Trunk.Run(batch, _harness.AllLayers, _harness.Result);

        Spoil(batch, fault);

        ArgumentException refused = Assert.Throws<ArgumentException>(() => _harness.Trunk.Run(batch, _harness.AllLayers, _harness.Result));
        Assert.Contains(words, refused.Message);
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(2, 1)]
    [InlineData(0, 4)]
    public void A_range_outside_the_trunk_is_refused(int first, int last)
    {
        Assert.Throws<ArgumentException>(() => _harness.Trunk.Run(new TrunkBatch(), new LayerRange(first, last), _harness.Result));
    }

    [Fact]
    public void A_later_range_needs_the_batchs_rows()
    {
        _harness.Fill((new TestSequence(), [1, 2, 3]));

        Assert.Throws<InvalidOperationException>(() => _harness.Trunk.Run(_harness.Batch, new LayerRange(1, 3), _harness.Result));
        Assert.Throws<ArgumentException>(() => _harness.Trunk.WriteRows(new float[_harness.Trunk.HiddenSize + 1]));
        Assert.Throws<ArgumentException>(() => _harness.Trunk.WriteRows(new float[_harness.Trunk.HiddenSize * 81]));
    }

    [Fact]
    public void An_empty_batch_gives_nothing()
    {
        _harness.Trunk.Run(new TrunkBatch(), _harness.AllLayers, _harness.Result);

        Assert.Empty(_harness.Result.Statuses);
        Assert.Equal(0, _harness.Result.LogitRows);
    }

    private static void Spoil(TrunkBatch batch, string fault)
    {
        SequenceSlice slice = batch.Sequences[0];
        switch (fault)
        {
            case "token below":
                batch.Tokens[2] = -1;
                break;
            case "token beyond":
                batch.Tokens[2] = 1024;
                break;
            case "position below":
                Shift(batch, -1);
                break;
            case "position beyond":
                Shift(batch, 8192 - 4);
                break;
            case "position gap":
                batch.Positions[3] = 9;
                break;
            case "position back":
                batch.Positions[1] = 0;
                break;
            case "positions missing":
                batch.Positions.RemoveAt(4);
                break;
            case "logit marks missing":
                batch.NeedsLogits.Clear();
                break;
            case "rows without sequence":
                AddRow(batch);
                break;
            case "sequence too long":
                batch.Sequences[0] = slice with { RowCount = 7 };
                break;
            case "sequence empty":
                batch.Sequences.Add(new SequenceSlice(5, 0, 0, 1));
                break;
            case "sequence overflows":
                batch.Sequences[0] = slice with { RowCount = int.MaxValue };
                break;
            case "sequence elsewhere":
                batch.Sequences[0] = slice with { FirstRow = 1 };
                break;
            case "pages too few":
                Shift(batch, 60);
                break;
            case "pages outside the table":
                batch.Sequences[0] = slice with { FirstPage = 1 };
                break;
            case "pages before the table":
                batch.Sequences[0] = slice with { FirstPage = -1 };
                break;
            case "page beyond":
                batch.PageTable[0] = 4;
                break;
            case "page below":
                batch.PageTable[0] = -1;
                break;
            case "copy source":
                batch.Copies.Add(new PageCopy(9, 0, 1));
                break;
            case "copy destination":
                batch.Copies.Add(new PageCopy(0, -3, 1));
                break;
            case "copy too long":
                batch.Copies.Add(new PageCopy(0, 1, 65));
                break;
            case "copy negative":
                batch.Copies.Add(new PageCopy(0, 1, -1));
                break;
            case "freed":
                batch.Freed.Add(77);
                break;
            case "too many rows":
                while (batch.Rows < 81)
                    AddRow(batch);
                break;
            default:
                throw new ArgumentException(fault, nameof(fault));
        }
    }

    private static void AddRow(TrunkBatch batch)
    {
        batch.Tokens.Add(1);
        batch.Positions.Add(batch.Positions.Count);
        batch.NeedsLogits.Add(false);
    }

    private static void Shift(TrunkBatch batch, int by)
    {
        for (int i = 0; i < batch.Positions.Count; i++)
            batch.Positions[i] += by;
    }
}

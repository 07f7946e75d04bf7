using Grpc.Core;

namespace K2Cluster.Client.Internal;

/// <summary>
/// How far one answer has come. A token may have several events, of which the first carries its id, and a gateway may die
/// between them. So a resumed answer begins with its last token again, and of its events those that came before are left out.
/// </summary>
internal sealed class ChoiceProgress
{
    private readonly List<uint> _tokens;

    /// <summary>Tokens that were generated before this client's request.</summary>
    private readonly int _given;

    /// <summary>Events that came of the last token.</summary>
    private int _events;

    /// <summary>Of those, how many are still to come once more.</summary>
    private int _repeated;

    public ChoiceProgress(IEnumerable<uint> given)
    {
        _tokens = [.. given];
        _given = _tokens.Count;
    }

    public bool IsFinished { get; private set; }

    /// <summary>Makes ready to go on elsewhere; returns the tokens to go on after.</summary>
    public IReadOnlyList<uint> Resume()
    {
        _repeated = _events;
        return _tokens.Count > _given ? _tokens[..^1] : _tokens;
    }

    /// <summary>Takes an event of this answer; returns whether it is a new one.</summary>
    /// <exception cref="RpcException">The gateway does not go on with the same answer.</exception>
    public bool Take(IReadOnlyList<uint> ids, bool isFinished)
    {
        if (_repeated > 0)
        {
            bool isSame = _repeated == _events ? ids is [var again] && _tokens is [.., var last] && again == last : ids.Count == 0;
            if (!isSame || isFinished)
                throw new RpcException(new Status(StatusCode.DataLoss, "The gateway that went on with the answer generates other tokens than the one before: they do not serve the same model in the same way."));
            _repeated--;
            return false;
        }

        _tokens.AddRange(ids);
        _events = ids.Count > 0 ? 1 : _events + 1;
        IsFinished = isFinished;
        return true;
    }
}

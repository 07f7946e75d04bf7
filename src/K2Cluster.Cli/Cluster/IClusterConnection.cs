using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Cli;

/// <summary>Who answers for a cluster.</summary>
internal interface IClusterConnection : IAsyncDisposable
{
    /// <param name="ask">The question.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <param name="isChange">That it changes something: then it is not asked again where it may have been heard.</param>
    /// <exception cref="CommandException">None answers, or the answer is a refusal.</exception>
    Task<T> AskAsync<T>(Func<Admin.AdminClient, CallOptions, AsyncUnaryCall<T>> ask, CancellationToken cancellation, bool isChange = false);
}

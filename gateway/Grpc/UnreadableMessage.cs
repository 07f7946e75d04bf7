using System.Globalization;
using Grpc.Core;

namespace K2Cluster.Gateway.Grpc;

/// <summary>
/// Bytes that are no message of their method's: gRPC reports them as UNKNOWN, as if the gateway had failed, and before any
/// interceptor runs. What fails before one has run is the client's.
/// </summary>
internal static class UnreadableMessage
{
    private const string StatusHeader = "grpc-status";
    private static readonly object Read = new();
    private static readonly string Unknown = ((int)StatusCode.Unknown).ToString(CultureInfo.InvariantCulture);
    private static readonly string Invalid = ((int)StatusCode.InvalidArgument).ToString(CultureInfo.InvariantCulture);

    /// <summary>The call's message was read.</summary>
    public static void MarkRead(HttpContext http) => http.Items[Read] = Read;

    /// <summary>After the call: puts right what is said of one whose message was not.</summary>
    public static void Answer(HttpContext http)
    {
        // A status without messages before it goes out as headers.
        IHeaderDictionary headers = http.Response.Headers;
        if (http.Response.HasStarted || http.Items.ContainsKey(Read) || headers[StatusHeader] != Unknown)
            return;
        headers[StatusHeader] = Invalid;
        headers["grpc-message"] = "The bytes are not a message of this method.";
    }
}

namespace K2Cluster.Gateway.Serving;

/// <summary>Why a request gets no answer, in words for its client, who may be a stranger: what shards, hosts and exceptions are called stays in the cause, for the log. Each API maps <see cref="Fault"/> to its own statuses.</summary>
internal sealed class RequestException(RequestFault fault, string message, string? parameter = null, string? code = null, Exception? cause = null) : Exception(message, cause)
{
    public RequestFault Fault { get; } = fault;

    /// <summary>The part of the request that is at fault, as a path: <c>messages[2].content</c>.</summary>
    public string? Parameter { get; } = parameter;

    /// <summary>A word for programs, as OpenAI has them: <c>context_length_exceeded</c>.</summary>
    public string? Code { get; } = code;

    /// <summary>When to come back, for <see cref="RequestFault.Busy"/> and <see cref="RequestFault.NotReady"/>.</summary>
    public TimeSpan? RetryAfter { get; init; }

    public static RequestException Invalid(string parameter, string message, string? code = null) => new(RequestFault.Invalid, message, parameter, code);
}

internal enum RequestFault
{
    /// <summary>The request itself: sent again, it fails again.</summary>
    Invalid,

    /// <summary>It needs something that this version does not do.</summary>
    Unsupported,

    /// <summary>It asks for a model that is not served here.</summary>
    ModelNotFound,

    /// <summary>The queue is full.</summary>
    Busy,

    /// <summary>This gateway cannot serve now: starting, stopping, or experts are missing.</summary>
    NotReady,

    /// <summary>Its time limit passed.</summary>
    TimedOut,

    /// <summary>Our failure.</summary>
    Failed,
}

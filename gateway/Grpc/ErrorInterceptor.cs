using System.Text;
using Grpc.Core;
using Grpc.Core.Interceptors;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.Grpc;

/// <summary>Gives every failure its gRPC status, with a word for programs and the parameter in the trailers.</summary>
internal sealed partial class ErrorInterceptor(ILogger<ErrorInterceptor> log) : Interceptor
{
    public override async Task<TResponse> UnaryServerHandler<TRequest, TResponse>(TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
    {
        UnreadableMessage.MarkRead(context.GetHttpContext());
        try
        {
            return await continuation(request, context);
        }
        catch (Exception error) when (Translated(error, context) is { } translated)
        {
            throw translated;
        }
    }

    public override async Task ServerStreamingServerHandler<TRequest, TResponse>(TRequest request, IServerStreamWriter<TResponse> responseStream, ServerCallContext context, ServerStreamingServerMethod<TRequest, TResponse> continuation)
    {
        UnreadableMessage.MarkRead(context.GetHttpContext());
        try
        {
            await continuation(request, responseStream, context);
        }
        catch (Exception error) when (Translated(error, context) is { } translated)
        {
            throw translated;
        }
    }

    private RpcException? Translated(Exception error, ServerCallContext context)
    {
        if (error is RpcException)
            return null;
        if (error is RequestException request)
        {
            FailureLog.Tell(log, context.Method, request);
            return Translated(request);
        }

        // The server itself answers DEADLINE_EXCEEDED where the deadline was the reason.
        if (context.CancellationToken.IsCancellationRequested)
            return new RpcException(new Status(StatusCode.Cancelled, "The call was cancelled."));
        string id = context.GetHttpContext().TraceIdentifier;
        LogFailed(log, context.Method, id, error);
        return new RpcException(new Status(StatusCode.Internal, $"The gateway failed on this call; its log says more, under {id}."));
    }

    public static RpcException Translated(RequestException error) => new(new Status(Code(error.Fault), error.Message), Trailers(error));

    private static Metadata Trailers(RequestException error)
    {
        Metadata trailers = [];
        if (error.Code is not null)
            trailers.Add("k2-error-code", error.Code);
        // Paths may hold any of a client's text; a binary trailer can carry it.
        if (error.Parameter is not null)
            trailers.Add("k2-error-parameter-bin", Encoding.UTF8.GetBytes(error.Parameter));
        if (error.RetryAfter is { } delay)
            trailers.Add("retry-after", Math.Max(1, (long)Math.Ceiling(delay.TotalSeconds)).ToString());
        return trailers;
    }

    private static StatusCode Code(RequestFault fault) => fault switch
    {
        RequestFault.Invalid => StatusCode.InvalidArgument,
        RequestFault.Unsupported => StatusCode.Unimplemented,
        RequestFault.ModelNotFound => StatusCode.NotFound,
        RequestFault.Busy => StatusCode.ResourceExhausted,
        RequestFault.NotReady => StatusCode.Unavailable,
        RequestFault.TimedOut => StatusCode.DeadlineExceeded,
        _ => StatusCode.Internal,
    };

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} failed, request {Id}")]
    private static partial void LogFailed(ILogger logger, string method, string id, Exception error);
}

using Grpc.AspNetCore.Server;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>Gives every error of the HTTP side OpenAI's shape, routing's and the server's own included.</summary>
internal sealed partial class ErrorMiddleware(RequestDelegate next, ILogger<ErrorMiddleware> log)
{
    public async Task InvokeAsync(HttpContext http)
    {
        // gRPC has its own.
        if (http.GetEndpoint()?.Metadata.GetMetadata<GrpcMethodMetadata>() is not null)
        {
            await next(http);
            return;
        }

        try
        {
            await next(http);
            if (http.Response is { HasStarted: false, StatusCode: >= 400, ContentType: null })
                await HttpErrors.WriteAsync(http.Response, http.Response.StatusCode, Words(http), code: Code(http.Response.StatusCode));
        }
        catch (Exception) when (http.RequestAborted.IsCancellationRequested)
        {
            // Nobody is left to answer.
        }
        catch (RequestException error) when (!http.Response.HasStarted)
        {
            FailureLog.Tell(log, http.Request.Path, error);
            await HttpErrors.WriteAsync(http.Response, error);
        }
        catch (BadHttpRequestException error) when (!http.Response.HasStarted)
        {
            await HttpErrors.WriteAsync(http.Response, error.StatusCode, error.Message, code: Code(error.StatusCode));
        }
        catch (Exception error)
        {
            LogFailed(log, http.Request.Path, http.TraceIdentifier, error);
            if (http.Response.HasStarted)
                http.Abort();
            else
                await HttpErrors.WriteAsync(http.Response, StatusCodes.Status500InternalServerError, $"The gateway failed on this request; its log says more, under {http.TraceIdentifier}.", code: "internal_error");
        }
    }

    private static string Words(HttpContext http) => http.Response.StatusCode switch
    {
        StatusCodes.Status404NotFound => $"Nothing is at {http.Request.Method} {Excerpt.Of(http.Request.Path.Value ?? "")}.",
        StatusCodes.Status405MethodNotAllowed => $"{http.Request.Method} is not allowed at {Excerpt.Of(http.Request.Path.Value ?? "")}; {http.Response.Headers.Allow} is.",
        int status => $"The request failed with status {status}.",
    };

    private static string? Code(int status) => status switch
    {
        StatusCodes.Status404NotFound => "not_found",
        StatusCodes.Status405MethodNotAllowed => "method_not_allowed",
        StatusCodes.Status413PayloadTooLarge => "body_too_large",
        StatusCodes.Status415UnsupportedMediaType => "unsupported_media_type",
        _ => null,
    };

    [LoggerMessage(Level = LogLevel.Error, Message = "{Path} failed, request {Id}")]
    private static partial void LogFailed(ILogger logger, string path, string id, Exception error);
}

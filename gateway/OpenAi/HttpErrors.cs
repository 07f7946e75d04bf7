using System.Text.Json;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>Errors in OpenAI's shape: {"error":{"message","type","param","code"}}.</summary>
internal static class HttpErrors
{
    public static int Status(RequestFault fault) => fault switch
    {
        RequestFault.Invalid or RequestFault.Unsupported => StatusCodes.Status400BadRequest,
        RequestFault.ModelNotFound => StatusCodes.Status404NotFound,
        RequestFault.Busy => StatusCodes.Status429TooManyRequests,
        RequestFault.NotReady => StatusCodes.Status503ServiceUnavailable,
        RequestFault.TimedOut => StatusCodes.Status504GatewayTimeout,
        _ => StatusCodes.Status500InternalServerError,
    };

    public static Task WriteAsync(HttpResponse response, RequestException error)
    {
        if (error.RetryAfter is { } delay)
            response.Headers.RetryAfter = Math.Max(1, (long)Math.Ceiling(delay.TotalSeconds)).ToString();
        return WriteAsync(response, Status(error.Fault), error.Message, error.Parameter, error.Code);
    }

    public static async Task WriteAsync(HttpResponse response, int status, string message, string? parameter = null, string? code = null)
    {
        response.StatusCode = status;
        await JsonResponse.WriteAsync(response, json => Write(json, status, message, parameter, code));
    }

    /// <summary>The error of a stream that has begun: its status is sent already.</summary>
    public static void Write(Utf8JsonWriter json, RequestException error) => Write(json, Status(error.Fault), error.Message, error.Parameter, error.Code);

    private static void Write(Utf8JsonWriter json, int status, string message, string? parameter, string? code)
    {
        json.WriteStartObject();
        json.WriteStartObject("error");
        json.WriteString("message", message);
        json.WriteString("type", Type(status));
        json.WriteString("param", parameter);
        json.WriteString("code", code);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static string Type(int status) => status switch
    {
        StatusCodes.Status429TooManyRequests => "rate_limit_error",
        StatusCodes.Status503ServiceUnavailable => "service_unavailable_error",
        StatusCodes.Status504GatewayTimeout => "timeout_error",
        >= 500 => "server_error",
        _ => "invalid_request_error",
    };
}

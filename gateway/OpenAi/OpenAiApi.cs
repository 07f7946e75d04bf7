using System.Text.Json;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>OpenAI's HTTP API, and what vLLM has beyond it.</summary>
internal static class OpenAiApi
{
    private delegate Task GenerationHandler(HttpContext http, ModelGate gate, TimeProvider time, RequestScope scope);

    public static void MapOpenAi(this IEndpointRouteBuilder routes)
    {
        MapGeneration(routes, "/v1/chat/completions", "chat", ChatEndpoint.HandleAsync);
        MapGeneration(routes, "/v1/completions", "completions", CompletionEndpoint.HandleAsync);
        ModelGate gate = routes.ServiceProvider.GetRequiredService<ModelGate>();
        routes.MapPost("/tokenize", http => TokenEndpoints.TokenizeAsync(http, gate));
        routes.MapPost("/detokenize", http => TokenEndpoints.DetokenizeAsync(http, gate));
        routes.MapGet("/v1/models", http => ListModelsAsync(http, gate));
        // A model's name may have slashes.
        routes.MapGet("/v1/models/{**name}", http => GetModelAsync(http, gate));
    }

    private static void MapGeneration(IEndpointRouteBuilder routes, string path, string api, GenerationHandler handle)
    {
        ModelGate gate = routes.ServiceProvider.GetRequiredService<ModelGate>();
        TimeProvider time = routes.ServiceProvider.GetRequiredService<TimeProvider>();
        routes.MapPost(path, async http =>
        {
            using RequestScope scope = new(api);
            try
            {
                await handle(http, gate, time, scope);
            }
            catch (Exception error)
            {
                scope.Failed(error, http.RequestAborted.IsCancellationRequested);
                throw;
            }
        });
    }

    private static Task ListModelsAsync(HttpContext http, ModelGate gate)
    {
        ServedModel model = gate.Loaded;
        return JsonResponse.WriteAsync(http.Response, json =>
        {
            json.WriteStartObject();
            json.WriteString("object", "list");
            json.WriteStartArray("data");
            Write(json, model);
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static Task GetModelAsync(HttpContext http, ModelGate gate)
    {
        ServedModel model = gate.Loaded;
        model.CheckName(http.GetRouteValue("name") as string);
        return JsonResponse.WriteAsync(http.Response, json => Write(json, model));
    }

    private static void Write(Utf8JsonWriter json, ServedModel model)
    {
        json.WriteStartObject();
        json.WriteString("id", model.Name);
        json.WriteString("object", "model");
        json.WriteNumber("created", model.Created.ToUnixTimeSeconds());
        json.WriteString("owned_by", "k2cluster");
        json.WriteNumber("max_model_len", model.Engine.MaxContext);
        json.WriteEndObject();
    }
}

using System.Text.Json;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>POST /v1/completions.</summary>
internal static class CompletionEndpoint
{
    /// <summary>Prompts of one request times the answers to each; each is a request to the engine.</summary>
    private const int MaxAnswers = 128;

    public static async Task HandleAsync(HttpContext http, ModelGate gate, TimeProvider time, RequestScope scope)
    {
        ServedModel model = scope.Enter(gate);
        AnswerHead head;
        GenerationJob[] jobs;
        using (JsonBody body = await JsonBody.ReadAsync(http.Request))
        {
            JsonFields fields = body.Fields;
            model.CheckName(fields.String("model"));
            GenerationSettings settings = SettingsReader.Read(fields) with { TopLogprobs = SettingsReader.ReadCompletionLogprobs(fields) };
            Prompt[] prompts = ReadPrompts(fields.Required("prompt"), MaxAnswers / settings.Choices);
            head = AnswerHeadReader.Read(fields, "cmpl-", model, settings, time);
            Admission admission = new(model);
            jobs = [.. prompts.SelectMany((prompt, index) => admission.Completion(head.Id, prompt, settings, index))];
        }

        await GenerationEndpoint.RespondAsync(http, model, head, jobs, new CompletionFormat(head, jobs, model.Tokenizer), scope);
    }

    /// <summary>A string, ids, or an array of one or the other.</summary>
    private static Prompt[] ReadPrompts(JsonElement prompt, int most)
    {
        if (prompt.ValueKind == JsonValueKind.String)
            return [new Prompt(prompt.GetString(), null, "prompt")];
        if (prompt.ValueKind != JsonValueKind.Array)
            throw JsonFields.Mismatch("prompt", "a string, an array of token ids, or an array of these", prompt);
        int count = prompt.GetArrayLength();
        if (count == 0)
            throw RequestException.Invalid("prompt", "'prompt' is empty; it needs at least one token.");
        if (prompt[0].ValueKind == JsonValueKind.Number)
            return [new Prompt(null, TokenIds.Read(prompt, "prompt"), "prompt")];
        if (count > most)
            throw RequestException.Invalid("prompt", $"'prompt' has {count} prompts; at most {most} are taken in one request, so that with 'n' there are at most {MaxAnswers} answers.");
        return [.. JsonFields.ItemsOf(prompt, "prompt").Select(item => item.Item.ValueKind switch
        {
            JsonValueKind.String => new Prompt(item.Item.GetString(), null, item.Path),
            JsonValueKind.Array => new Prompt(null, TokenIds.Read(item.Item, item.Path), item.Path),
            _ => throw JsonFields.Mismatch(item.Path, "a string or an array of token ids", item.Item),
        })];
    }
}

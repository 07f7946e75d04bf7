using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>POST /tokenize and /detokenize, as vLLM has them.</summary>
internal static class TokenEndpoints
{
    public static async Task TokenizeAsync(HttpContext http, ModelGate gate)
    {
        ServedModel model = gate.Loaded;
        int[] tokens;
        using (JsonBody body = await JsonBody.ReadAsync(http.Request))
        {
            JsonFields fields = body.Fields;
            model.CheckName(fields.String("model"));
            // K2's tokenizer adds none, with or without.
            fields.Boolean("add_special_tokens");
            bool isChat = fields.Any("messages") is not null;
            if (isChat == fields.Any("prompt") is not null)
                throw RequestException.Invalid("prompt", "Give either 'prompt' or 'messages'.");
            Admission admission = new(model);
            tokens = isChat
                ? admission.Render(ConversationReader.Read(fields, withTools: true, fields.Boolean("add_generation_prompt") ?? true))
                : admission.Encode(fields.RequiredString("prompt"), "prompt");
        }

        await JsonResponse.WriteAsync(http.Response, json =>
        {
            json.WriteStartObject();
            json.WriteNumber("count", tokens.Length);
            json.WriteNumber("max_model_len", model.Engine.MaxContext);
            json.WriteStartArray("tokens");
            foreach (int token in tokens)
                json.WriteNumberValue(token);
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    public static async Task DetokenizeAsync(HttpContext http, ModelGate gate)
    {
        ServedModel model = gate.Loaded;
        string text;
        using (JsonBody body = await JsonBody.ReadAsync(http.Request))
        {
            JsonFields fields = body.Fields;
            model.CheckName(fields.String("model"));
            int[] tokens = TokenIds.Read(fields.Required("tokens"), "tokens");
            text = new Admission(model).Decode(tokens, "tokens");
        }

        await JsonResponse.WriteAsync(http.Response, json =>
        {
            json.WriteStartObject();
            json.WriteString("prompt", text);
            json.WriteEndObject();
        });
    }
}

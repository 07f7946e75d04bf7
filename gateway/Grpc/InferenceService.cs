using Grpc.Core;
using K2Cluster.Gateway.Serving;
using K2Cluster.Protocol.V1;
using K2Cluster.Text;
using K2Cluster.Text.Output;

namespace K2Cluster.Gateway.Grpc;

/// <summary>k2cluster.v1.Inference, over the same serving layer as the HTTP API.</summary>
internal sealed class InferenceService(ModelGate gate, BodyIntake intake, TimeProvider time) : Inference.InferenceBase
{
    public override async Task Generate(GenerateRequest request, IServerStreamWriter<GenerateEvent> responseStream, ServerCallContext context)
    {
        using RequestScope scope = new("grpc.generate");
        await RunAsync(scope, context, async () =>
        {
            ServedModel model = Admit(scope, request.Model);
            GenerationSettings settings = RequestMapping.Settings(request.Options, request.Generated, request.Choice, context.Deadline, time);
            Prompt prompt = request.PromptCase switch
            {
                GenerateRequest.PromptOneofCase.Text => new Prompt(request.Text, null, "text"),
                GenerateRequest.PromptOneofCase.TokenIds => new Prompt(null, RequestMapping.Ids(request.TokenIds.Ids, "token_ids"), "token_ids"),
                _ => throw RequestException.Invalid("prompt", "A prompt is required: 'text' or 'token_ids'."),
            };
            GenerationJob[] jobs;
            using (await intake.EnterAsync(request.CalculateSize(), context.CancellationToken))
                jobs = new Admission(model).Completion("gen-" + Guid.NewGuid().ToString("N"), prompt, settings);
            EventWriter<GenerateEvent> events = new(jobs.Length, responseStream, (message, choice, tokens) =>
            {
                message.Choice = (uint)(settings.FirstChoice + choice);
                RequestMapping.Attach(tokens, settings, model, message.TokenIds, message.Logprobs);
            });
            await StreamAsync(scope, model, jobs, settings, events,
                started => new GenerateEvent { Started = started },
                delta => new GenerateEvent { Text = delta.Text },
                finished => new GenerateEvent { Finished = finished },
                context.CancellationToken);
        });
    }

    public override async Task Chat(ChatRequest request, IServerStreamWriter<ChatEvent> responseStream, ServerCallContext context)
    {
        using RequestScope scope = new("grpc.chat");
        await RunAsync(scope, context, async () =>
        {
            ServedModel model = Admit(scope, request.Model);
            GenerationSettings settings = RequestMapping.Settings(request.Options, request.Generated, request.Choice, context.Deadline, time);
            Conversation given = request.Conversation ?? throw RequestException.Invalid("conversation", "'conversation' is required.");
            GenerationJob[] jobs;
            using (await intake.EnterAsync(request.CalculateSize(), context.CancellationToken))
            {
                ChatConversation conversation = RequestMapping.Chat(given, addGenerationPrompt: true);
                jobs = new Admission(model).Chat("chat-" + Guid.NewGuid().ToString("N"), conversation, given.ToolChoice != ToolChoice.None, settings);
            }

            EventWriter<ChatEvent> events = new(jobs.Length, responseStream, (message, choice, tokens) =>
            {
                message.Choice = (uint)(settings.FirstChoice + choice);
                RequestMapping.Attach(tokens, settings, model, message.TokenIds, message.Logprobs);
            });
            await StreamAsync(scope, model, jobs, settings, events,
                started => new ChatEvent { Started = started },
                Event,
                finished => new ChatEvent { Finished = finished },
                context.CancellationToken);
        });
    }

    public override async Task<TokenizeResponse> Tokenize(TokenizeRequest request, ServerCallContext context)
    {
        ServedModel model = gate.Loaded;
        model.CheckName(Named(request.Model));
        Admission admission = new(model);
        using IDisposable? turn = await intake.EnterAsync(request.CalculateSize(), context.CancellationToken);
        int[] ids = request.InputCase switch
        {
            TokenizeRequest.InputOneofCase.Text => admission.Encode(request.Text, "text"),
            TokenizeRequest.InputOneofCase.Conversation => admission.Render(RequestMapping.Chat(request.Conversation, !request.OmitGenerationPrompt)),
            _ => throw RequestException.Invalid("input", "An input is required: 'text' or 'conversation'."),
        };
        TokenizeResponse response = new();
        response.TokenIds.AddRange(ids.Select(id => (uint)id));
        return response;
    }

    public override async Task<DetokenizeResponse> Detokenize(DetokenizeRequest request, ServerCallContext context)
    {
        ServedModel model = gate.Loaded;
        model.CheckName(Named(request.Model));
        using IDisposable? turn = await intake.EnterAsync(request.CalculateSize(), context.CancellationToken);
        string text = new Admission(model).Decode(RequestMapping.Ids(request.TokenIds, "token_ids"), "token_ids");
        return new DetokenizeResponse { Text = text };
    }

    public override Task<ListModelsResponse> ListModels(ListModelsRequest request, ServerCallContext context)
    {
        ServedModel model = gate.Loaded;
        return Task.FromResult(new ListModelsResponse
        {
            Models =
            {
                new Model
                {
                    Name = model.Name,
                    MaxContext = (uint)model.Engine.MaxContext,
                    VocabularySize = (uint)model.Engine.VocabularySize,
                    HasTokenizer = model.Tokenizer is not null,
                },
            },
        });
    }

    private static async Task RunAsync(RequestScope scope, ServerCallContext context, Func<Task> run)
    {
        try
        {
            await run();
        }
        catch (Exception error)
        {
            scope.Failed(error, context.CancellationToken.IsCancellationRequested);
            throw;
        }
    }

    private static async Task StreamAsync<T>(
        RequestScope scope,
        ServedModel model,
        GenerationJob[] jobs,
        GenerationSettings settings,
        EventWriter<T> events,
        Func<Started, T> started,
        Func<OutputDelta, T> delta,
        Func<Finished, T> finished,
        CancellationToken cancellationToken)
        where T : class, new()
    {
        scope.Admitted(model.Name, jobs);
        bool begun = false;
        await foreach ((int choice, JobStep step) in new JobRunner(model).RunAsync(jobs, cancellationToken))
        {
            scope.Seen(step);
            if (!begun)
            {
                begun = true;
                await events.WriteAsync(0, started(RequestMapping.Started(model, jobs[0], settings)), cancellationToken);
            }

            events.Add(choice, step.Token);
            foreach (OutputDelta piece in step.Deltas)
                await events.WriteAsync(choice, delta(piece), cancellationToken);
            if (step.End is { } end)
                await events.WriteAsync(choice, finished(RequestMapping.Finished(end)), cancellationToken);
            else if (settings.ReturnTokenIds && step.Deltas.Count == 0)
                await events.WriteAsync(choice, new T(), cancellationToken);
        }
    }

    private static ChatEvent Event(OutputDelta delta) => delta.Kind switch
    {
        OutputKind.Reasoning => new ChatEvent { Reasoning = delta.Text },
        OutputKind.Content => new ChatEvent { Content = delta.Text },
        OutputKind.ToolCall => new ChatEvent { ToolCall = new ToolCallStart { Index = (uint)delta.Index, Id = delta.Id, Name = delta.Name } },
        _ => new ChatEvent { ToolArguments = new ToolArguments { Index = (uint)delta.Index, Text = delta.Text } },
    };

    private static string? Named(string model) => model.Length == 0 ? null : model;

    private ServedModel Admit(RequestScope scope, string name)
    {
        ServedModel model = scope.Enter(gate);
        model.CheckName(Named(name));
        return model;
    }
}

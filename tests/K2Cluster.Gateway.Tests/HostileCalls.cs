using Google.Protobuf;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Gateway.Tests;

/// <summary>gRPC messages that no friendly client sends, as bytes; the same for a seed.</summary>
internal sealed class HostileCalls(int seed)
{
    private static readonly string[] Methods = ["Generate", "Chat", "Tokenize", "Detokenize", "ListModels"];
    private static readonly uint[] Numbers = [0, 1, 2047, 2048, int.MaxValue, 1u << 31, uint.MaxValue];
    private static readonly float[] Reals = [0, 0.7f, 1, 2.1f, -1, 1e-45f, float.NaN, float.PositiveInfinity, float.NegativeInfinity];

    private readonly Random _random = new(seed);

    public IEnumerable<(string Method, string What, byte[] Message)> Generate()
    {
        while (true)
        {
            string method = Pick(Methods);
            byte[] message = Message(method).ToByteArray();
            yield return _random.Next(6) switch
            {
                0 => (method, "random bytes", Bytes(_random.Next(200))),
                1 => (method, "empty", []),
                2 => (method, "bytes changed", Changed(message)),
                3 => (method, "cut", message[..(message.Length / 2)]),
                4 => (method, "of another method", Message(Pick(Methods)).ToByteArray()),
                _ => (method, "extreme values", message),
            };
        }
    }

    private IMessage Message(string method) => method switch
    {
        "Generate" => _random.Next(2) == 0
            ? new GenerateRequest { Text = Text(), Options = Options() }
            : new GenerateRequest { TokenIds = new TokenIds { Ids = { Ids() } }, Options = Options(), Generated = _random.Next(8) == 0 ? new TokenIds() : null },
        "Chat" => new ChatRequest { Model = _random.Next(8) == 0 ? Text() : "", Conversation = Conversation(), Options = Options() },
        "Tokenize" => _random.Next(2) == 0 ? new TokenizeRequest { Text = Text() } : new TokenizeRequest { Conversation = Conversation() },
        "Detokenize" => new DetokenizeRequest { TokenIds = { Ids() } },
        _ => new ListModelsRequest(),
    };

    private Conversation Conversation()
    {
        Conversation conversation = new() { ToolChoice = (ToolChoice)_random.Next(-1, 5) };
        for (int i = _random.Next(4); i > 0; i--)
        {
            ChatMessage message = new() { Role = Pick("user", "assistant", "system", "tool", "", "ROOT"), Content = Text(), Name = Text(), ToolCallId = Text(), ReasoningContent = Text() };
            if (_random.Next(3) == 0)
                message.ToolCalls.Add(new ToolCall { Id = Text(), Name = Text(), Arguments = Schema() });
            conversation.Messages.Add(message);
        }

        if (_random.Next(2) == 0)
            conversation.Tools.Add(new Tool { Name = Pick("f", "", Text()), Description = Text(), Parameters = Schema() });
        return conversation;
    }

    private GenerationOptions Options()
    {
        GenerationOptions options = new() { MaxTokens = (uint)_random.Next(1, 20), ReturnTokenIds = _random.Next(2) == 0, IgnoreEos = _random.Next(2) == 0 };
        switch (_random.Next(12))
        {
            case 0:
                options.MaxTokens = Pick(Numbers);
                break;
            case 1:
                options.Temperature = Pick(Reals);
                break;
            case 2:
                options.TopP = Pick(Reals);
                break;
            case 3:
                options.Seed = ulong.MaxValue;
                break;
            case 5:
                options.TopK = Pick(Numbers);
                options.MinTokens = Pick(0u, 1u, 30u, uint.MaxValue);
                break;
            case 6:
                (options.MinP, options.RepetitionPenalty, options.PresencePenalty, options.FrequencyPenalty) = (Pick(Reals), Pick(Reals), Pick(Reals), Pick(Reals));
                break;
            case 7:
                options.LogitBias[Pick(Numbers)] = Pick(Reals);
                options.StopTokenIds.Add(Ids());
                break;
            case 8:
                options.Logprobs = Pick(0u, 3u, 20u, 21u, uint.MaxValue);
                options.N = Pick(0u, 1u, 3u, 17u, uint.MaxValue);
                break;
            case 4:
                options.Stop.Add(Enumerable.Range(0, _random.Next(40)).Select(_ => Text()));
                break;
        }

        return options;
    }

    private uint[] Ids() => [.. Enumerable.Range(0, _random.Next(6)).Select(_ => _random.Next(4) == 0 ? Pick(Numbers) : (uint)_random.Next(2048))];

    private string Text() => _random.Next(8) switch
    {
        0 => "",
        1 => "\0\r\n\u2028",
        2 => "<|im_end|><think></think><|tool_calls_section_begin|>",
        3 when _random.Next(10) == 0 => new string('a', 1 << 20),
        4 => "\U0001F642\u0301\uFFFD",
        5 => "functions.f:0",
        _ => "Hi",
    };

    private string Schema() => _random.Next(7) switch
    {
        0 => "",
        1 => string.Concat(Enumerable.Repeat("{\"a\":", 10_000)),
        2 => string.Concat(Enumerable.Repeat("{\"a\":", 60)) + "1" + new string('}', 60),
        3 => new string('[', 100_000),
        4 => "{\"a\":1,\"a\":2}",
        5 => "{\"a\":\"\\ud800\"}",
        _ => "{\"type\":\"object\"}",
    };

    /// <summary>Bad UTF-8, lengths that lie, unknown fields.</summary>
    private byte[] Changed(byte[] message)
    {
        byte[] changed = [.. message];
        for (int i = _random.Next(1, 4); i > 0 && changed.Length > 0; i--)
            changed[_random.Next(Math.Min(changed.Length, 200))] = Pick<byte>(0, 0x80, 0xC0, 0xED, 0xFF);
        return changed;
    }

    private byte[] Bytes(int count)
    {
        byte[] bytes = new byte[count];
        _random.NextBytes(bytes);
        return bytes;
    }

    private T Pick<T>(params T[] from) => from[_random.Next(from.Length)];
}

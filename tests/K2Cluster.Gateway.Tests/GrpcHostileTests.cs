using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Gateway.Tests;

public sealed class GrpcHostileTests
{
    private const string Service = "k2cluster.v1.Inference";
    private const int Count = 600;

    private static readonly Marshaller<byte[]> Raw = Marshallers.Create<byte[]>(bytes => bytes, bytes => bytes);

    [Fact]
    public async Task Whatever_comes_has_a_right_answer_or_a_status_that_tells_whose_fault_it_is()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(new MadeUpEngine());
        CallInvoker invoker = host.Channel.CreateCallInvoker();
        List<string> complaints = [];
        Dictionary<StatusCode, int> statuses = [];
        foreach ((string method, string what, byte[] message) in new HostileCalls(seed: 5).Generate().Take(Count))
        {
            (StatusCode status, string? complaint) = await CallAsync(invoker, method, message);
            statuses[status] = statuses.GetValueOrDefault(status) + 1;
            if (complaint is not null)
                complaints.Add($"{method}, {what}, {message.Length} bytes {Convert.ToHexString(message.AsSpan(0, Math.Min(40, message.Length)))}: {status} {complaint}");
        }

        Assert.True(complaints.Count == 0, string.Join('\n', complaints.Take(12)));
        // The generator does its work: most are refused, some are fine after all.
        Assert.InRange(statuses.GetValueOrDefault(StatusCode.OK), Count / 10, Count / 2);
        Assert.InRange(statuses.GetValueOrDefault(StatusCode.InvalidArgument), Count / 4, Count);
    }

    [Theory]
    [InlineData("0A02FFFE")]
    [InlineData("0AFFFFFFFF0F61")]
    [InlineData("FF")]
    public async Task Bytes_that_are_no_message_are_an_invalid_argument(string message)
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        foreach (string method in new[] { "Chat", "Tokenize" })
            Assert.Equal(StatusCode.InvalidArgument, (await CallAsync(host.Channel.CreateCallInvoker(), method, Convert.FromHexString(message))).Status);
    }

    [Fact]
    public async Task A_compressed_message_is_not_taken()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        Inference.InferenceClient client = new(host.Channel);
        Metadata compressed = new() { { "grpc-internal-encoding-request", "gzip" } };
        RpcException error = await Assert.ThrowsAsync<RpcException>(async () => await client.TokenizeAsync(new TokenizeRequest { Text = new string('a', 100_000) }, compressed));

        Assert.Equal(StatusCode.Unimplemented, error.StatusCode);
    }

    private static async Task<(StatusCode Status, string? Complaint)> CallAsync(CallInvoker invoker, string method, byte[] message)
    {
        CallOptions options = new(deadline: DateTime.UtcNow.AddSeconds(20));
        bool streams = method is "Generate" or "Chat";
        Method<byte[], byte[]> called = new(streams ? MethodType.ServerStreaming : MethodType.Unary, Service, method, Raw, Raw);
        try
        {
            if (!streams)
            {
                await invoker.AsyncUnaryCall(called, null, options, message);
                return (StatusCode.OK, null);
            }

            byte[] last = [];
            using AsyncServerStreamingCall<byte[]> call = invoker.AsyncServerStreamingCall(called, null, options, message);
            await foreach (byte[] item in call.ResponseStream.ReadAllAsync())
                last = item;
            bool finished = method == "Chat" ? ChatEvent.Parser.ParseFrom(last).Finished is not null : GenerateEvent.Parser.ParseFrom(last).Finished is not null;
            return (StatusCode.OK, finished ? null : "the last event does not say how it ended");
        }
        catch (RpcException error)
        {
            bool ours = error.StatusCode is StatusCode.Unknown or StatusCode.Internal or StatusCode.DeadlineExceeded;
            return (error.StatusCode, ours || error.Status.Detail.Length == 0 ? $"'{error.Status.Detail}'" : null);
        }
    }
}

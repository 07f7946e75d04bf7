using System.Reflection;
using System.Text;
using Google.Protobuf.Reflection;
using K2Cluster.Protocol.V1;
using K2Cluster.Tests;

namespace K2Cluster.Protocol.Tests;

/// <summary>
/// The golden listing of the wire contract. After adding to a .proto file:
/// <c>K2_UPDATE_GOLDEN=1 dotnet test tests/K2Cluster.Protocol.Tests -c Release</c>, which adds lines and never removes one.
/// </summary>
public sealed class WireContractTests
{
    private static readonly string Golden = Repository.Path("tests", "K2Cluster.Protocol.Tests", "wire-contract.txt");

    [Fact]
    public void Nothing_was_removed_or_renumbered()
    {
        HashSet<string> now = [.. Listing()];
        string[] lost = [.. File.ReadAllLines(Golden).Where(line => !now.Contains(line))];

        Assert.True(lost.Length == 0, $"These are on the wire of clients out there; bring them back: {string.Join("; ", lost)}");
    }

    [Fact]
    public void What_was_added_is_written_down()
    {
        HashSet<string> known = [.. File.Exists(Golden) ? File.ReadAllLines(Golden) : []];
        string[] added = [.. Listing().Where(line => !known.Contains(line))];
        if (Environment.GetEnvironmentVariable("K2_UPDATE_GOLDEN") == "1")
        {
            File.WriteAllLines(Golden, known.Concat(added).Order(StringComparer.Ordinal), new UTF8Encoding(false));
            return;
        }

        Assert.True(added.Length == 0, $"New on the wire; run with K2_UPDATE_GOLDEN=1 when meant: {string.Join("; ", added)}");
    }

    [Fact]
    public void The_listing_tells_a_renumbered_field_and_another_type_apart()
    {
        string[] listing = [.. Listing()];

        Assert.Contains("field k2cluster.v1.GenerateRequest.model = 1 string", listing);
        Assert.Contains("field k2cluster.v1.GenerationOptions.seed = 4 optional uint64", listing);
        Assert.Contains("field k2cluster.v1.ChatEvent.content = 3 string in event", listing);
        Assert.Contains("value k2cluster.v1.FinishReason.FINISH_REASON_LENGTH = 2", listing);
        Assert.Contains("method k2cluster.v1.Inference.Chat (k2cluster.v1.ChatRequest) -> stream k2cluster.v1.ChatEvent", listing);
    }

    private static IEnumerable<string> Listing()
    {
        // Every generated file has a static class with its descriptor.
        IEnumerable<FileDescriptor> files = typeof(InferenceReflection).Assembly.GetTypes()
            .Select(type => type.GetProperty("Descriptor", BindingFlags.Static | BindingFlags.Public)?.GetValue(null))
            .OfType<FileDescriptor>();
        return files.SelectMany(file => file.Services.SelectMany(Lines)
            .Concat(file.MessageTypes.SelectMany(Lines))
            .Concat(file.EnumTypes.SelectMany(Lines)));
    }

    private static IEnumerable<string> Lines(ServiceDescriptor service) => service.Methods.Select(method =>
        $"method {method.FullName} ({(method.IsClientStreaming ? "stream " : "")}{method.InputType.FullName}) -> {(method.IsServerStreaming ? "stream " : "")}{method.OutputType.FullName}");

    private static IEnumerable<string> Lines(MessageDescriptor message) => message.Fields.InDeclarationOrder().Select(Line)
        .Concat(message.NestedTypes.SelectMany(Lines))
        .Concat(message.EnumTypes.SelectMany(Lines));

    private static IEnumerable<string> Lines(EnumDescriptor type) => type.Values.Select(value => $"value {type.FullName}.{value.Name} = {value.Number}");

    private static string Line(FieldDescriptor field)
    {
        string type = field.FieldType switch
        {
            FieldType.Message or FieldType.Group => field.MessageType.FullName,
            FieldType.Enum => field.EnumType.FullName,
            var scalar => scalar.ToString().ToLowerInvariant(),
        };
        bool optional = field.HasPresence && field.FieldType != FieldType.Message && field.RealContainingOneof is null;
        string label = field.IsRepeated ? "repeated " : optional ? "optional " : "";
        string oneof = field.RealContainingOneof is { } group ? $" in {group.Name}" : "";
        return $"field {field.FullName} = {field.FieldNumber} {label}{type}{oneof}";
    }
}

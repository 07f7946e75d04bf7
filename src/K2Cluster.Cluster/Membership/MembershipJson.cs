using System.Text.Json.Serialization;

namespace K2Cluster.Cluster.Membership;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(MembershipRows))]
internal sealed partial class MembershipJson : JsonSerializerContext;

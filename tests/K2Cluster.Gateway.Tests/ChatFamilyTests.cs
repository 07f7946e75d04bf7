using K2Cluster.Checkpoint;
using K2Cluster.Gateway.Loading;
using K2Cluster.Tests;

namespace K2Cluster.Gateway.Tests;

public sealed class ChatFamilyTests
{
    [Theory]
    [InlineData("kimi_k2", "", true)]
    [InlineData("kimi_k2", "language_model.", false)]
    [InlineData("deepseek_v3", "", false)]
    public void The_template_is_meant_for_K2_alone(string type, string prefix, bool known)
    {
        using ModelDirectory model = ModelDirectory.Open(Repository.Path("models", "k2-nano"));
        Assert.True(ChatFamily.IsKnown(model.Config));

        Assert.Equal(known, ChatFamily.IsKnown(model.Config with { ModelType = type, TensorPrefix = prefix }));
    }
}

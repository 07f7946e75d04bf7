using K2Cluster.PtxEmulator.FakeDriver;

namespace K2Cluster.PtxEmulator.Tests.FakeDriver;

/// <summary>A process has one driver: tests that install the fake one run one after another.</summary>
[CollectionDefinition(nameof(FakeMachine), DisableParallelization = true)]
public sealed class FakeMachineCollection;

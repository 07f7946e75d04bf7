using System.Security.Authentication;

namespace K2Cluster.Cluster.Security;

/// <summary>A peer whose certificate makes it none of ours. The message says why, as a sentence about the peer.</summary>
internal sealed class PeerRefusedException(string message) : AuthenticationException(message);

"""The host's models as backbones: calls, blocks, taps, K/V and exact gradients."""

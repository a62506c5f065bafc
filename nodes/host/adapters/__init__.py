"""Adapters of the host's models: subject features, image prompts, and other packs' patches."""

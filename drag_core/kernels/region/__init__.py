"""The pull of moved regions: `gap` is the definition, `window` and `pull` what an update runs."""

from .reference import gap
from .windowed import Window, pull, window

__all__ = ["Window", "gap", "pull", "window"]

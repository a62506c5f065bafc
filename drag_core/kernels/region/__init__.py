"""The pull of moved regions: `gap` is the definition, `window` and `pull` what an update runs."""

from .reference import gap
from .windowed import Read, Window, pull, window

__all__ = ["Read", "Window", "gap", "pull", "window"]

"""What all of the core raises for bad input."""

from __future__ import annotations


class DragError(ValueError):
    """Bad input, said in one sentence meant for the user: what was wrong, with the value, and what to do."""

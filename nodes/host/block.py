"""An output that stops whoever uses it, with a sentence."""

from __future__ import annotations

from comfy_execution.graph_utils import ExecutionBlocker


def blocked(sentence: str) -> ExecutionBlocker:
    """In place of an output's value: nodes that it goes to don't run, and the user reads `sentence`."""
    return ExecutionBlocker(sentence)

"""What a ComfyUI server tells of a prompt: that it refused it, or all events from its start to its end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Prompt = dict[str, dict[str, Any]]
Event = tuple[str, dict[str, Any]]


class Refused(AssertionError):
    """The server did not take a prompt that a test expected to run."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"HTTP {status}: {json.dumps(body, indent=1)[:4000]}")
        self.status, self.body = status, body


@dataclass(frozen=True)
class Run:
    """What the websocket told of one prompt, from its start to its end."""

    prompt_id: str
    events: tuple[Event, ...]  # in order, without those of other prompts
    previews: tuple[bytes, ...]  # the encoded pictures (JPEG or PNG) of binary messages, in order
    seconds: float
    asked: Prompt = field(repr=False)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for name, data in self.events if name == kind]

    def _one(self, kind: str) -> dict[str, Any] | None:
        return next(iter(self.of(kind)), None)

    @property
    def ok(self) -> bool:
        return self._one("execution_success") is not None

    @property
    def error(self) -> dict[str, Any] | None:
        """node_id, node_type, exception_type, exception_message, traceback ... of an execution_error."""
        return self._one("execution_error")

    @property
    def interrupted(self) -> dict[str, Any] | None:
        return self._one("execution_interrupted")

    @property
    def cached(self) -> set[str]:
        """Ids of the nodes whose results came from the cache."""
        return {str(n) for data in self.of("execution_cached") for n in data["nodes"]}

    @property
    def ran(self) -> list[str]:
        """Ids of the nodes that were executed, in order."""
        return [
            str(d["node"]) for d in self.of("executing") if d["node"] and str(d["node"]) not in self.cached
        ]

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """By node id what a node gave to the UI, from the cache or not."""
        return {str(d["node"]): d["output"] or {} for d in self.of("executed")}

    def progress(self, node: str | None = None) -> list[tuple[int, int]]:
        """(value, max) of the progress messages, of one node or of all."""
        told = self.of("progress")
        return [(d["value"], d["max"]) for d in told if node is None or str(d["node"]) == node]

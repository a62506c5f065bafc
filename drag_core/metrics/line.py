"""One metric of an edit: its value, how to read it, and where it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass

LOWER, HIGHER, CHANGED = "lower is better", "higher is better", "how much changed; neither way is better"
OURS = "ours"  # the protocol of numbers that no paper has


@dataclass(frozen=True)
class Origin:
    """Where a value comes from.

    protocol: whose way of measuring, a name in protocols.PROTOCOLS with its version as "dragflow/1".
    backbone, sha256: the network that looked, and the hash of its weights' file; empty where none did.
    comparable: whether the value may stand beside the paper's own; None where no paper has such a number.
    reason: why it may not, or what to know first.
    """

    protocol: str = OURS
    backbone: str = ""
    sha256: str = ""
    comparable: bool | None = None
    reason: str = ""


@dataclass(frozen=True)
class Line:
    """One metric: its value for the edit and for the original taken as the edit (nan: none), and a hint.

    count: how many pairs or regions the value is a mean of; what a mean over all of a set's pairs weighs by.
    """

    key: str
    name: str
    edited: float
    no_edit: float
    digits: int
    unit: str
    hint: str
    origin: Origin = Origin()
    count: int = 1


def hint(better: str, value: float, why: str = "") -> str:
    """Says which way is better, or why there is no value."""
    return f"n/a: {why or 'too few pixels'}" if math.isnan(value) else better

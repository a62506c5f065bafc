"""The quality of edits as a multimodal model sees it: the question, the order, the scores, their mean.

After GoodDrag's GScore (arXiv 2404.07206, section 4.2, appendix J): the original and all edits in one call,
0 to 10 each. Its judge, Gemini 1.0 Pro Vision, was shut down in April 2025, so that published numbers
can't be had again: these are an "MLLM score (GScore-style)", comparable only among pictures of the same call.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from ..errors import DragError
from .answer import beginning, json_values, said
from .intent import object_schema

NAME = "MLLM score (GScore-style)"
REPEATS = 10  # Table 2 of the paper
TEMPERATURE = 0.4  # of the paper's notebook
MOST = 8  # edits in one call
WRITTEN = re.compile(r"\s*(\d{1,2}(?:\.\d{1,6})?)\s*(?:/\s*10)?\s*")


@dataclass(frozen=True)
class Scores:
    """The scores of one picture over the repeats that gave some."""

    mean: float
    deviation: float  # of a sample; 0 for a single repeat
    values: tuple[float, ...]


def letters(count: int) -> str:
    """Names the edits of a call, in the order in which they are shown."""
    if not 1 <= count <= MOST:
        raise DragError(
            f"{count} edited pictures were given to be scored; it must be 1 to {MOST} in one call"
        )
    return string.ascii_uppercase[:count]


def question(count: int) -> str:
    """Makes the question about `count` edits, which are shown after the original."""
    names = ", ".join(letters(count))
    return (
        f"The first picture is the original. The {count} after it, named {names} in this order, are edits of "
        "it in which something was dragged to another place. Judge each for its quality alone, strictly and "
        "in detail: is it natural, free of artefacts, distortions, unnatural colours and pixelation, and is "
        "what should have stayed kept as in the original? Give each a score from 0 (worst) to 10 (best); "
        "halves and tenths are welcome. The order says nothing. Answer with one JSON object, nothing else: "
        "under analysis a text with your reasons, under scores an object with one number for each of "
        f"{names}."
    )


def schema(count: int) -> dict[str, Any]:
    """Makes the JSON schema of the answer."""
    score = {"type": "number", "minimum": 0, "maximum": 10}
    return object_schema(
        analysis={"type": "string"}, scores=object_schema(**{name: score for name in letters(count)})
    )


def prompt_hash(count: int) -> str:
    """Returns the sha256 of the question, under which scores may be compared."""
    return hashlib.sha256(question(count).encode()).hexdigest()


def orders(count: int, repeats: int, seed: int) -> tuple[tuple[int, ...], ...]:
    """Shuffles the edits anew for every repeat: judges prefer places.

    Entry k is the edit shown as letter k.
    """
    shuffled = random.Random(seed)
    return tuple(tuple(shuffled.sample(range(count), count)) for _ in range(repeats))


def read_scores(answer: object, order: Sequence[int]) -> tuple[float, ...]:
    """Reads the scores of a call, for the edits in their own order.

    DragError where one is missing, or no number from 0 to 10: none is clamped or made up.
    """
    text = said(answer)
    values = [v for v in json_values(text) if isinstance(v, dict)]
    found = next((v["scores"] for v in reversed(values) if isinstance(v.get("scores"), dict)), None)
    if found is None:
        raise DragError(f"the judge's answer holds no scores (it begins {beginning(text)})")
    names = letters(len(order))
    if odd := sorted(set(found) ^ set(names)):
        raise DragError(f"the judge's answer scores {beginning(', '.join(odd))} too much or not at all")
    shown = [_number(name, found[name]) for name in names]
    return tuple(shown[order.index(k)] for k in range(len(order)))


def _number(name: str, value: object) -> float:
    if isinstance(value, str) and (written := WRITTEN.fullmatch(value)):
        value = float(written[1])
    if type(value) not in (int, float) or not 0 <= value <= 10:  # type: ignore[operator]
        raise DragError(f"the judge's score of {name} is {beginning(str(value))}; it must be 0 to 10")
    return float(value)  # type: ignore[arg-type]


def summary(rows: Sequence[Sequence[float]]) -> tuple[Scores, ...]:
    """Computes mean and deviation of every edit; rows: one a repeat, as `read_scores` gives them."""
    if not rows:
        raise DragError("no repeat gave scores: ask again, or take another judge")
    out = []
    for values in zip(*rows, strict=True):
        spread = stdev(values) if len(values) > 1 else 0.0
        assert all(map(math.isfinite, values))
        out.append(Scores(mean(values), spread, tuple(values)))
    return tuple(out)

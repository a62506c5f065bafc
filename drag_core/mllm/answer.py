"""The text that a language model answers with: untrusted, bounded, never evaluated, never repaired."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

from ..errors import DragError

MAX_TEXT = 200_000  # characters of an answer
MAX_STARTS = 400  # places where a JSON value is looked for: bounds the time that a hostile answer takes
THOUGHT = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)\s*>", re.IGNORECASE)
START = re.compile(r"[\[{]")


def said(text: object) -> str:
    """Returns what a model says, without what it thinks aloud (<think> ... </think>).

    A closing tag alone ends a thought that began in the model's own template. DragError if that leaves
    nothing, or if `text` is no text or longer than MAX_TEXT.
    """
    if not isinstance(text, str):
        raise DragError(f"the model's answer is a {type(text).__name__}; it must be text")
    if len(text) > MAX_TEXT:
        raise DragError(
            f"the model's answer is {len(text)} characters long; at most {MAX_TEXT} are read: take a model "
            "that follows instructions"
        )
    kept: list[str] = []
    at, thinking = 0, False
    for tag in THOUGHT.finditer(text):
        if not thinking:
            kept = [] if tag[1] else [*kept, text[at : tag.start()]]
        thinking, at = not tag[1], tag.end()
    if not thinking:
        kept.append(text[at:])
    out = "".join(kept).strip()
    if not out:
        why = "nothing but thinking" if text.strip() else "empty"
        raise DragError(
            f"the model's answer is {why}: ask again, allow it a longer answer, or take another model"
        )
    return out


def json_values(text: str) -> list[Any]:
    """Reads every JSON object and list that stands in a text, in prose and code fences too.

    Where the outer one is broken or cut off, the whole ones inside it are read. Numbers must be finite.
    """
    decoder = json.JSONDecoder(parse_constant=_no_number)
    out: list[Any] = []
    at = 0
    for _ in range(MAX_STARTS):
        if (begin := START.search(text, at)) is None:
            break
        try:
            value, at = decoder.raw_decode(text, begin.start())
        except (ValueError, RecursionError):  # also integers of thousands of digits
            at = begin.end()
        else:
            out.append(value)
    return out


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def clean(text: str) -> str:
    """Turns a text into one line of printable characters.

    What is invisible and may reorder a line (Unicode's class Cf), and half surrogates, are taken out.
    """
    whole = text.encode("utf-8", "ignore").decode()
    shown = (c if c.isprintable() else " " for c in whole if unicodedata.category(c) != "Cf")
    return " ".join("".join(shown).split())


def beginning(text: str, most: int = 60) -> str:
    """Returns how a text begins, quoted, for a sentence about it."""
    line = clean(text[: 4 * most])
    return repr(line if len(line) <= most else line[: most - 3] + "...")

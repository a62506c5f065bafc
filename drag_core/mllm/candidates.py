"""Reads the candidates of an answer: a prompt that the answer does not hold is never made up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import DragError
from .answer import beginning, clean, json_values, said
from .intent import CANDIDATES, MOST_BACKGROUND, MOST_WORDS, Candidate, Intended, Intent

PROMPT_KEYS = ("prompt", "description", "caption")
TASK_KEYS = ("task", "label", "class", "operation")
LIST_KEYS = ("candidates", "guesses", "prompts", "answers")
BACKGROUND_KEYS = ("background_details", "background", "background_prompt")
MOTION_KEYS = ("motion", "editing_changes", "editing_prompt")
# What models call the three tasks. A word for several of them, or for none, is no task.
NAMES: dict[str, Intended] = {
    "relocation": "relocation",
    "relocate": "relocation",
    "relocating": "relocation",
    "translation": "relocation",
    "transformation": "relocation",  # DragFlow's code says so
    "move": "relocation",
    "moving": "relocation",
    "deformation": "deformation",
    "deform": "deformation",
    "deforming": "deformation",
    "rotation": "rotation",
    "rotate": "rotation",
    "rotating": "rotation",
}
NO_PROMPT = {"text", "string", "prompt", "description", "caption", *NAMES}  # words of the form, given back
OPENS_A_FILE = "embedding:"  # with a name behind it, in a text encoder
# A line of a list, and where in it the task may stand: "1. [rotation] A cup ...", "2) A cup ... (rotation)".
LINE = re.compile(r"^(?:[-*\u2022]|\d{1,2}[.):])\s+(.+)$")
WORD = r"(?:\[(\w{1,20})\]|\((\w{1,20})\)|\*\*(\w{1,20}):?\*\*"
FRONT = re.compile(
    rf"^{WORD}|(\w{{1,20}})(?=\s?[:|\u2013\u2014]|\s-\s))\s?[:|\u2013\u2014-]?\s?(?P<prompt>.+)$"
)
BACK = re.compile(
    rf"^(?P<prompt>.*?)\s?{WORD}|(?:[|\u2013\u2014]|\s-|(?:label|task):)\s?(\w{{1,20}}))\.?$", re.IGNORECASE
)
MOST_LINES, LONGEST_LINE = 200, 1_000
MOST_LETTERS = 10  # a word, on average: for scripts that put no spaces between words


@dataclass(frozen=True)
class _Entry:
    """What may be a candidate, as the answer has it."""

    prompt: str
    task: str


def read_intent(answer: object) -> Intent:
    """Reads a model's answer.

    A JSON object as asked for, also in prose, behind thoughts, in a code fence, cut off, or as a bare list;
    or lines of a list that name their task. DragError, with how the answer begins, where there is none.
    """
    text = said(answer)
    values = [_unwrapped(v) for v in json_values(text)]
    listed = [entries for v in values if (entries := _listed(v))]
    alone = [e for v in values if isinstance(v, dict) and (e := _entry(v)) and e.task]
    notes: list[str] = []
    # several lists: a draft and what was made of it
    candidates = _candidates(listed[-1] if listed else alone or list(_lines(text)), notes)
    if not candidates:
        more = f": {notes[0]}" if notes else ""
        raise DragError(
            f"the model's answer holds no candidate{more} (it begins {beginning(text)}): ask again, or take "
            "a model that sees pictures and follows instructions"
        )
    if not listed:
        notes.append("the answer is not the JSON object that was asked for: what could be read of it was")
    if len(candidates) < CANDIDATES:
        notes.append(f"the answer holds {len(candidates)} of {CANDIDATES} candidates")
    described: Any = next((v for v in reversed(values) if _first(v, BACKGROUND_KEYS)), None)
    background = _limited(_first(described, BACKGROUND_KEYS) or "", MOST_BACKGROUND, "the description", notes)
    if not _says_something(background):
        background = ""
        notes.append("the answer does not describe the original: the prompt before stays as it is")
    motion = _limited(_first(described, MOTION_KEYS) or "", MOST_WORDS, "the motion", notes)
    return Intent(background, motion, candidates, tuple(notes))


def _first(value: Any, keys: tuple[str, ...], kind: type = str) -> Any:
    """Returns the first of the keys that holds something of that kind; None if none does."""
    if not isinstance(value, dict):
        return None
    return next((value[k] for k in keys if isinstance(value.get(k), kind) and value[k]), None)


def _unwrapped(value: Any) -> Any:
    """Returns what an object of one key holds, as in {"answer": {...}}, three levels deep at most."""
    for _ in range(3):
        if not (isinstance(value, dict) and len(value) == 1 and not _first(value, LIST_KEYS, list)):
            break
        (inner,) = value.values()
        if not isinstance(inner, (dict, list)):
            break
        value = inner
    return value


def _listed(value: Any) -> list[_Entry | None]:
    """Reads the list of an answer; None stands for what is no candidate, [] where there is no list of them.

    Texts under a name for candidates are prompts; in a list without a name only if they say their task.
    """
    named = _first(value, LIST_KEYS, list)
    entries = named if named is not None else value if isinstance(value, list) else []
    read = [
        (_labelled(e) or (_Entry(e, "") if named else None)) if isinstance(e, str) else _entry(e)
        for e in entries
    ]
    return read if any(read) else []


def _entry(value: Any) -> _Entry | None:
    prompt = _first(value, PROMPT_KEYS)
    return _Entry(prompt, _first(value, TASK_KEYS) or "") if prompt else None


def _lines(text: str) -> Iterator[_Entry]:
    """Finds the lines of a list that name one of the three tasks; other lines are no candidates."""
    for line in text.splitlines()[:MOST_LINES]:
        row = LINE.match(clean(line[:LONGEST_LINE]))
        if row and (found := _labelled(row[1])):
            yield found


def _labelled(text: str) -> _Entry | None:
    """Splits a line into prompt and task, which stands at its beginning or its end; None: it names none."""
    line = clean(text[:LONGEST_LINE])
    for pattern in (FRONT, BACK):
        if found := pattern.match(line):
            task = next(g for k, g in enumerate(found.groups(), 1) if g and k != pattern.groupindex["prompt"])
            if task.lower() in NAMES:
                return _Entry(found["prompt"].strip(' "\u201c\u201d*'), task)
    return None


def _candidates(entries: list[_Entry] | list[_Entry | None], notes: list[str]) -> tuple[Candidate, ...]:
    out: list[Candidate] = []
    skipped = 0
    for entry in entries:
        prompt = clean(entry.prompt) if entry else ""
        if entry is None or not _says_something(prompt):
            skipped += 1
            continue
        if len(out) == CANDIDATES:
            notes.append(f"the answer holds more than {CANDIDATES} candidates: the rest was left out")
            break
        name, said_of_it = f"candidate {len(out) + 1}", list[str]()
        label = re.sub(r"[\s\"'.*_\[\]()-]+", "", entry.task).lower()
        candidate = Candidate(_limited(prompt, MOST_WORDS, name, said_of_it), NAMES.get(label))
        if candidate in out:
            skipped += 1
            continue
        if candidate.task is None:
            called = f"calls its task {beginning(entry.task, 30)}" if entry.task else "names no task"
            said_of_it.append(f"{name} {called}: choose relocation, deformation or rotation")
        out.append(candidate)
        notes += said_of_it
    if skipped:
        notes.append(f"{skipped} entries of the answer are no candidates of their own and were left out")
    return tuple(out)


def _says_something(prompt: str) -> bool:
    line = prompt.lower()
    return (
        any(map(str.isalpha, line)) and OPENS_A_FILE not in line and line.strip(" <>.[]\"'") not in NO_PROMPT
    )


def _limited(text: str, most: int, what: str, notes: list[str]) -> str:
    """Cuts a text after so many words, and says so."""
    line = clean(text)
    out = " ".join(line.split(" ")[:most])[: most * MOST_LETTERS].strip()
    if out != line:
        notes.append(f"{what} is longer than {most} words or {most * MOST_LETTERS} letters: it was cut there")
    return out

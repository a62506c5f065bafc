"""What a drag means: the question to a multimodal model, and the form of what it answers.

DragFlow (arXiv 2510.02253), section 3.1 and appendix D.3: the model sees the picture and the picture with the
drag drawn on it, and guesses ten times what the user wants, each time with a task; the user picks one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Intended = Literal["relocation", "deformation", "rotation"]
INTENDED: tuple[Intended, ...] = get_args(Intended)
CANDIDATES, MOST_WORDS = 10, 60  # D.3
MOST_BACKGROUND = 200  # words; D.3 asks for a detailed description and names no number

QUESTION = f"""\
You see two pictures. The first is the original. The second is the same with a drag drawn on it: what the \
user grabs is tinted blue, where it is estimated to go is tinted green, and an orange arrow leads from the \
one to the other. Tints and arrow are no part of the scene.
(a) Under background_details describe the original in detail: its objects, how they stand to each other, \
colours, style, structure. Under motion say in a few words what the drag changes.
(b) Under candidates give the {CANDIDATES} most likely states of the picture after the drag, the most \
likely one first. Each has a prompt: the finished picture described as a still, in at most {MOST_WORDS} \
words, with the details that help to draw it; and a task, the one kind of edit that the drag then is: \
relocation (a thing goes elsewhere as it is), deformation (a part of a thing is pulled, and the thing \
changes its shape) or rotation (it turns about a point).
Write in English. Answer with one JSON object and nothing else: background_details and motion are texts, \
candidates is a list of {CANDIDATES} objects with the texts prompt and task."""


@dataclass(frozen=True)
class Candidate:
    """One guess: the picture after the drag in words, and what kind of edit that is.

    task: None where the answer names no task that is known; the user must choose one.
    """

    prompt: str
    task: Intended | None


@dataclass(frozen=True)
class Intent:
    """What an answer holds.

    background: the original in words. motion: the change in a few. notes: a sentence for everything that was
    left out, cut or missing.
    """

    background: str
    motion: str
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


def as_dict(intent: Intent) -> dict[str, Any]:
    """Makes plain data of it, as the editor and the JSON output take it."""
    return asdict(intent)


def schema() -> dict[str, Any]:
    """Makes the JSON schema of the answer, for servers that hold a model to one."""
    text = {"type": "string"}
    candidate = object_schema(prompt=text, task={"type": "string", "enum": list(INTENDED)})
    ten = {"type": "array", "items": candidate, "minItems": CANDIDATES, "maxItems": CANDIDATES}
    return object_schema(background_details=text, motion=text, candidates=ten)


def object_schema(**fields: Any) -> dict[str, Any]:
    """Makes the JSON schema of an object that has these fields, all of them and no other."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}

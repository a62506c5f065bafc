"""What is left of a paper's variant, in sentences: on an embedded model, and without what comes before."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..types import Task
from . import METHODS
from .assemble import Choice, ModelGround, assemble
from .recipe import Recipe

# a recipe's fields in the user's words; what only one published method sets is its own word
WORDS = {
    "taps": "taps",
    "supervision": "loss and tracking",
    "constraint": "what may change",
    "optimizer": "step",
    "ramp": "progress of the updates",
    "schedule": "noise levels",
    "background": "background",
    "kv_view": "pairing of keys and values",
    "kv_record": "keys and values of the drag level",
    "kv_text": "the prompt's keys and values",
    "track_last": "when points are looked for",
    "stale_tracking": "when points are looked for",
    "hold_gain": "rate at the target",
    "settle": "end of the updates",
    "first": "point phase",
}


def differing(a: Recipe, b: Recipe) -> tuple[str, ...]:
    """Lists the fields in which two recipes differ, in the user's words, each once."""
    names = [f.name for f in fields(Recipe) if not same(getattr(a, f.name), getattr(b, f.name))]
    return tuple(dict.fromkeys(WORDS.get(name, name) for name in names))


def same(a: Any, b: Any) -> bool:
    """Tells whether two parts of recipes are the same data, masks and optimizers included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, partial):
        return a.func is b.func and same(a.args, b.args) and same(a.keywords, b.keywords)
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return bool(a == b)


def remains(task: Task, ground: ModelGround, choice: Choice) -> str | None:
    """Says what of a variant is left on an embedded model, whose preset has taps, steps and masks of its own.

    None for other models, and where the variant is ours.
    """
    if ground.preset is None or choice.variant == "ours" or choice.recipe not in METHODS:
        return None
    build = METHODS[choice.recipe].build
    wanted = differing(build(task, choice.variant), build(task, "ours"))
    found = [assemble(task, ground, Choice(choice.recipe, v)) for v in (choice.variant, "ours")]
    left = differing(found[0], found[1])
    gone = [word for word in wanted if word not in left]
    name = f"variant {choice.variant} of {choice.recipe} on {ground.label}"
    if not wanted:
        return f"{name} is ours: there is one text"
    own = f"the model's own: {', '.join(gone)}" if gone else "nothing else differs"
    return (
        f"{name}: of it remain {', '.join(left)}; {own}" if left else f"{name}: nothing of it remains; {own}"
    )


def before_it(task: Task, choice: Choice, *, trained: bool, advice: str, mask_advice: str) -> tuple[str, ...]:
    """Says what a paper does before its drag and was not done here.

    trained: whether the model has a LoRA. advice, mask_advice: what to do about one, and about the mask.
    """
    if choice.variant != "paper" or choice.recipe not in METHODS:
        return ()
    method, notes = METHODS[choice.recipe], list[str]()
    training = method.build(task, choice.variant).identity
    if training is not None and not trained:
        notes.append(
            f"{choice.recipe}'s paper first trains a LoRA of the picture ({training.steps} steps, rank "
            f"{training.rank}) and there is none: {advice}"
        )
    if method.superpixels and task.labels is None and task.automatic:
        notes.append(
            f"{choice.recipe}'s paper finds what may change by super-pixels and here it is a brush along the "
            f"way: {mask_advice}"
        )
    return tuple(notes)

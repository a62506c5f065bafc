"""A drag without gradients: the draft, and what the model draws anew in it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from ...drag_core.autocast import uncast
from ...drag_core.motion.areas import marked, strength_map
from ...drag_core.pictures.crop import Crop, cut, mask_in, notes_of, task_in
from ...drag_core.pictures.draft import Draft, draft_from, draft_of
from ...drag_core.pictures.paste import paste_back, pieced, resized, soft
from ...drag_core.ranges import Ranged, check_mode, span
from ...drag_core.trajectory.finish import STEPS, finish, noise_like
from ...drag_core.trajectory.noised import noised
from ...drag_core.types import Backbone, DragError, Grid, Schedule, Task
from .family import family_in
from .pixels import check_vae, decoded, encoded
from .plain import Plain, run_plain
from .progress import listener
from .schedule import finishing, host_sigmas, noise_scale, sampling_of
from .session import HostBackbone, SessionNeeds, run
from .shape import cell_of, latent_out

KVFrom = Literal["none", "draft"]
NOTHING = "nothing is drawn anew: what is moved covers what it leaves, so that the draft stays as it is"


@dataclass(frozen=True)
class FinishChoices(Ranged):
    """What the user set on DragFinish."""

    whose = "Drag Finish's"

    strength: float = field(
        default=0.5,
        metadata=span(
            0.05,
            0.95,
            "From how much noise the model draws, as a share: more lets it draw more freely, less keeps more "
            "of the draft.",
            0.05,
        ),
    )
    steps: int = field(
        default=STEPS,
        metadata=span(1, 100, "Model calls from that noise to the picture, evenly; more than 4 hardly help."),
    )
    core: float = field(
        default=0.0,
        metadata=span(
            0.0,
            1.0,
            "How much of strength the moved thing itself is redrawn from: 0 keeps its own pixels, 0.5 lets "
            "the model touch it up, 1 draws it as freely as the hole.",
            0.05,
        ),
    )
    rest: float = field(
        default=0.0,
        metadata=span(
            0.0,
            1.0,
            "How much of strength the rest of what may change is redrawn from, around the thing and the "
            "hole: 0 keeps it.",
            0.05,
        ),
    )
    kv: KVFrom = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mode("kv", self.kv, KVFrom)


@dataclass(frozen=True)
class Finished:
    """A finished edit.

    picture: (1, 3, H, W) in [0, 1].
    samples: a LATENT's, of the whole.
    redrawn: (H, W) in [0, 1], how much of each pixel is the model's.
    report: for people and scripts.
    """

    picture: Tensor
    samples: Tensor
    redrawn: Tensor
    report: dict[str, Any]


def finish_picture(
    patcher: Any,
    positive: Any,
    vae: Any,
    picture: Tensor,
    task: Task,
    wish: FinishChoices,
    draft: Tensor | None = None,
    redraw: Tensor | None = None,
    crop: Crop | None = None,
) -> Finished:
    """Draws a draft of the drag to its end where `redraw` says, or in the hole that the regions leave.

    picture, draft: (1, 3, H, W) in [0, 1]; None: the picture with the regions moved in pixels.
    redraw: (H, W) in {0, 1}.
    crop: the model sees this part of the picture at this size; the draft is made of the picture's own pixels.
    All that needs no model call is refused first.
    """
    began = time.perf_counter()
    schedule = finishing(sampling_of(patcher), wish.strength, wish.steps)
    check_vae(patcher, vae)
    task = replace(task, cell=cell_of(patcher.model))
    _check_sizes(picture, task, draft, crop)
    whole = crop or Crop(0, 0, task.image.width, task.image.height, task.image, task.image)
    here = whole.unscaled
    inner = Crop(0, 0, here.width, here.height, whole.size, here.size)
    part, seen = task_in(task, here), replace(task_in(task, whole), cell=task.cell)
    own, anew = cut(picture, here), None if redraw is None else mask_in(redraw, whole)
    made = draft is None
    sketch = draft_of(own[0], part) if draft is None else _given(cut(draft, here), own, part, redraw)
    strength = _strengths(seen, wish, anew, mask_in(sketch.hole, inner) if made else None)
    blocks = _blocks(patcher) if wish.kv == "draft" else ()
    cells, pixels = (strength > 0).float(), sketch.picture[None]
    with uncast(patcher.load_device):
        samples = encoded(vae, cut(pixels, inner)[0])
    # painted over the draft's hole is like the rest; another draft's may be empty, and then says nothing
    where = None if made else (strength < 1).float()
    z, calls = _drawn(patcher, positive, samples, strength, schedule, wish.seed, blocks, where)
    out = latent_out(patcher.model, z.float().cpu())
    with uncast(patcher.load_device):
        shown = resized(decoded(vae, out)[None], part.image).clamp(0, 1)
    edit = pieced(own, pixels, shown, cells, part.editable)
    edit = paste_back(picture, edit, task.editable, here, seam=0.0)
    share = paste_back(torch.zeros_like(picture[:, :1]), soft(cells, part.image), None, here, seam=0.0)
    report = {
        "draft": "made here" if made else "given",
        "redrawn": "the hole" if redraw is None else "the mask",
        "cells": [int(cells.sum()), cells.numel()],
        **{name: getattr(wish, name) for name in ("strength", "steps", "core", "rest", "kv", "seed")},
        "kv_layers": list(blocks),
        "model_calls": calls,
        "seconds": round(time.perf_counter() - began, 3),
        "notes": [
            *(() if crop is None else notes_of(crop)),
            *sketch.notes,
            *(() if cells.any() else (NOTHING,)),
        ],
    }
    may = 1.0 if task.editable is None else task.editable
    return Finished(edit, out, share[0, 0] * may, report)


def _given(draft: Tensor, picture: Tensor, task: Task, redraw: Tensor | None) -> Draft:
    """Takes the user's draft, which may be the picture itself where a mask says what is drawn."""
    if redraw is None:
        return draft_from(draft[0], picture[0], task)
    return Draft(draft[0], torch.zeros_like(draft[0, 0]))


def _check_sizes(picture: Tensor, task: Task, draft: Tensor | None, crop: Crop | None) -> None:
    height, width = picture.shape[-2:]
    if task.image != Grid(height, width):
        raise DragError(
            f"the regions are drawn on {task.image.width}x{task.image.height} and the picture is {width}x"
            f"{height}: connect the picture that the regions were drawn on"
        )
    if draft is not None and draft.shape != picture.shape:
        raise DragError(
            f"the draft is {draft.shape[-1]}x{draft.shape[-2]} and the picture {width}x{height}: make the "
            "draft at the picture's size"
        )
    assert crop is not None or not (height % task.cell or width % task.cell)  # crop_for()


def _strengths(task: Task, wish: FinishChoices, redraw: Tensor | None, filled: Tensor | None) -> Tensor:
    """Says how freely each cell is drawn; filled: (H, W), what a draft made here has filled."""
    if redraw is None and not task.regions:
        if filled is None or not task.handles:
            raise DragError(
                "nothing to draw: in a draft of your own points alone leave no hole; mark a region, or "
                "connect a mask to redraw"
            )
        return strength_map(task, wish.core, wish.rest, marked(filled, task))
    cells = None if redraw is None else marked(redraw, task)
    if cells is not None and not cells.any():
        raise DragError(
            "the redraw mask marks nothing within what may change: paint it there, larger than a cell of "
            f"{task.cell}x{task.cell} px, or disconnect it"
        )
    return strength_map(task, wish.core, wish.rest, cells)


def _blocks(patcher: Any) -> tuple[str, ...]:
    """Lists the layers whose keys and values are exchanged."""
    try:
        return family_in(patcher).kv
    except DragError as error:
        raise DragError(
            f"{error}: for this one set kv to none, which needs no more than its predictions"
        ) from None


def _drawn(
    patcher: Any,
    positive: Any,
    samples: Tensor,
    strength: Tensor,
    s: Schedule,
    seed: int,
    blocks: tuple[str, ...],
    where: Tensor | None,
) -> tuple[Tensor, int]:
    """Runs finish() inside the host's sampling: the core's latent, and how many calls it took."""
    scale = noise_scale(sampling_of(patcher))

    def draw(backbone: Backbone, z0: Tensor) -> Tensor:
        if z0.shape[-2:] != strength.shape[-2:]:
            raise DragError(
                f"the vae makes {z0.shape[-1]}x{z0.shape[-2]} cells of this picture and the model has "
                f"{strength.shape[-1]}x{strength.shape[-2]}: connect the VAE that belongs to the model"
            )
        noise = scale * noise_like(z0, seed)
        tell = listener(patcher, noised(backbone, z0, s, noise))
        return finish(backbone, z0, strength, s, noise, kv_blocks=blocks, kv_where=where, on_step=tell)

    def plainly(backbone: Plain, z0: Tensor) -> tuple[Tensor, int]:
        return draw(backbone, z0), backbone.calls

    def hooked(backbone: HostBackbone, z0: Tensor) -> tuple[Tensor, int]:
        return draw(backbone, z0), backbone.call.calls

    sigmas = host_sigmas(s)
    if not blocks:
        return run_plain(patcher, positive, samples, plainly, sigmas, seed)
    need = SessionNeeds(sigmas=(0.0, float(sigmas[0])))
    return run(patcher, positive, samples, hooked, need, sigmas=sigmas, seed=seed)

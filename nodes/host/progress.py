"""The core's on_step -> the host's progress bar, preview and interrupt; what to do where a drag diverges.

A node of several phases opens a Share round each, so that they are one bar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import comfy.model_management as mm
import comfy.utils
import latent_preview
import torch
from PIL import Image
from torch import Tensor

from ...drag_core.pictures.crop import Crop
from ...drag_core.pictures.files import to_bytes
from ...drag_core.step import OnStep, Step
from ...drag_core.trajectory.bounds import Diverged
from ...drag_core.trajectory.invert import clean_estimate
from ...drag_core.types import DragError, Trajectory
from .shape import host_shape

PREVIEW = 768  # px, the longest side of a preview


@dataclass(frozen=True)
class Share:
    """What a phase of a node has of the node's one bar, in model calls as far as they are known.

    before: the calls of earlier phases; length: its own; total: all phases'.
    placed: puts a preview, a PIL image, where it belongs.
    """

    before: float
    length: float
    total: float
    placed: Callable[[Any], Any] = lambda shown: shown

    def at(self, done: float, of: float) -> tuple[int, int]:
        """Returns (value, total) of the bar where `done` of the phase's own `of` steps are done."""
        return round(self.before + self.length * done / max(of, 1)), round(self.total)


_share: ContextVar[Share | None] = ContextVar("share", default=None)


def placing(picture: Tensor, crop: Crop) -> Callable[[Any], Any]:
    """Makes what puts a preview of the crop into a small copy of the picture (3, H, W)."""
    height, width = picture.shape[-2:]
    k = min(1.0, PREVIEW / max(height, width))
    size = max(1, round(k * width)), max(1, round(k * height))
    box = max(1, round(k * crop.width)), max(1, round(k * crop.height))
    base: list[Any] = []

    def place(shown: Any) -> Any:
        if not base:  # previews may be off
            base.append(Image.fromarray(to_bytes(picture).movedim(0, -1).numpy()).resize(size))
        out = base[0].copy()
        out.paste(shown.resize(box), (round(k * crop.x), round(k * crop.y)))
        return out

    return place


@contextmanager
def sharing(share: Share) -> Iterator[None]:
    """Has the listeners that are made inside tell their steps as this share of the node's bar."""
    token = _share.set(share)
    try:
        yield
    finally:
        _share.reset(token)


def quiet(step: Step) -> None:
    """Listens only for the user's interrupt."""
    mm.throw_exception_if_processing_interrupted()


def listener(
    patcher: Any, source: Trajectory | None = None, every: int = 1, before: int = 0, after: int = 0
) -> OnStep:
    """Makes a listener that tells the host after every step.

    source: given, the estimated picture is shown every `every` steps (0: never), where a drag that has
        diverged ends too.
    before, after: steps of the same node that were told already, or follow: one bar for all.

    The preview costs no model call. Which one is shown (latent2rgb, TAESD, none) is the user's setting.
    """
    previewer = (
        latent_preview.get_previewer(patcher.load_device, patcher.model.latent_format) if every else None
    )
    bar, share = list[Any](), _share.get()

    def tell(step: Step) -> None:
        mm.throw_exception_if_processing_interrupted()
        done, total = before + step.done, before + step.total + after
        if share is not None:
            done, total = share.at(done, total)
        if not bar:
            bar.append(comfy.utils.ProgressBar(total))
        picture = None
        if previewer is not None and source is not None and step.done % every == 0:
            with torch.no_grad():
                estimate = clean_estimate(step.z, source, step.level)
                made = previewer.decode_latent_to_preview_image("JPEG", host_shape(patcher.model, estimate))
                if made is not None and share is not None:  # None: another pack's, which shows it itself
                    made = (made[0], share.placed(made[1]), *made[2:])
                picture = made
            step.check()  # the picture has waited for the device already
        bar[0].update_absolute(done, total, picture)

    return tell


@contextmanager
def advice(model: Any) -> Iterator[None]:
    """Adds to the sentence of a drag that has diverged what may help a model that computes in float16."""
    try:
        yield
    except Diverged as error:
        if model.get_dtype_inference() != torch.float16:
            raise
        more = f"{error}, or load the model in bfloat16 or float32: it computes in float16"
        raise DragError(more) from None

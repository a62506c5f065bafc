"""The core's on_step -> the host's progress bar, preview and interrupt; what to do where a drag diverges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management as mm
import comfy.utils
import latent_preview
import torch

from ...drag_core.step import OnStep, Step
from ...drag_core.trajectory.bounds import Diverged
from ...drag_core.trajectory.invert import clean_estimate
from ...drag_core.types import DragError, Trajectory


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
    bar: list[Any] = []

    def tell(step: Step) -> None:
        mm.throw_exception_if_processing_interrupted()
        if not bar:
            bar.append(comfy.utils.ProgressBar(before + step.total + after))
        picture = None
        if previewer is not None and source is not None and step.done % every == 0:
            with torch.no_grad():
                estimate = clean_estimate(step.z, source, step.level)
                picture = previewer.decode_latent_to_preview_image("JPEG", estimate)
            step.check()  # the picture has waited for the device already
        bar[0].update_absolute(before + step.done, before + step.total + after, picture)

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

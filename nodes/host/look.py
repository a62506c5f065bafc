"""Looks at a model's features through the user's MODEL: pictures of them, and which of them carry a drag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.model_management as mm
import comfy.utils
import torch
from torch import Tensor

from ...drag_core.features.probe import TOGETHER, TapScore, probe, probe_motion, tap_text
from ...drag_core.features.view import feature_picture
from ...drag_core.recipes.assemble import read_taps
from ...drag_core.types import DragError, FeatureTap, Grid
from .family import HostModel, family_in
from .inversion import Inversion, invert_latent
from .schedule import host_sigma, sampling_of
from .session import HostBackbone, SessionNeeds, run
from .shape import latent_out


@dataclass(frozen=True)
class View:
    """One tap's picture (3, H, W) and the shares of variance of its three colours."""

    tap: FeatureTap
    picture: Tensor
    shares: tuple[float, ...]


def choose_taps(text: str, family: HostModel) -> tuple[FeatureTap, ...]:
    """Reads taps: "auto" (the papers' taps on this model), "all", "all:norm1" or a list."""
    word = text.strip().lower()
    if word in ("all", "all:norm1"):
        return tuple(FeatureTap(b, "norm1" if word != "all" else "out") for b in family.blocks)
    taps = read_taps(text, family.ground().usual_taps)
    if unknown := [t.block for t in taps if t.block not in family.blocks]:
        raise DragError(f"feature tap {unknown[0]!r} is not in this model; it has {', '.join(family.blocks)}")
    return taps


def view_features(
    patcher: Any, positive: Any, inversion: Inversion, text: str, level: int
) -> tuple[list[View], float]:
    """Draws pictures of the inverted picture's features at the taps `text`.

    level: of its trajectory (0: the noisiest). The second item is that level's t.
    Nothing runs after the last tap.
    """
    inversion.need_model(patcher)
    family, path = family_in(patcher), inversion.trajectory
    taps = choose_taps(text, family)
    last = len(path.schedule.t) - 1
    if not 0 <= level <= last:
        raise DragError(f"level is {level} and the trajectory has 0 (the noisiest) to {last} (clean)")
    t = path.schedule.t[level]
    h, w = (s * family.cell for s in path.z[0].shape[-2:])
    bar = comfy.utils.ProgressBar(len(taps))

    def body(backbone: HostBackbone, clean: Tensor) -> list[View]:
        out: list[View] = []
        z = path.z[level].to(clean.device, copy=True)
        for i in range(0, len(taps), TOGETHER):
            mm.throw_exception_if_processing_interrupted()
            part = taps[i : i + TOGETHER]
            with torch.no_grad():
                maps, _ = backbone.features(z, t, part)
            for tap, x in zip(part, maps, strict=True):
                picture, shares = feature_picture(x, Grid(h, w))
                out.append(View(tap, picture, tuple(shares.tolist())))
                bar.update_absolute(len(out), len(taps))
        return out

    samples = latent_out(patcher.model, path.z[-1])
    sigma = host_sigma(sampling_of(patcher), t)
    return run(patcher, positive, samples, body, SessionNeeds(sigmas=(sigma, sigma))), t


def described(views: list[View], t: float, blocks: tuple[str, ...]) -> str:
    """Says what is seen, a line a picture, and what else could be."""
    lines = [f"t {t:.3g}"]
    for i, view in enumerate(views, 1):
        shares = ", ".join(f"{100 * s:.0f} %" for s in view.shares)
        lines.append(f"{i}. {tap_text(view.tap)}: red, green, blue hold {shares} of the variance")
    return "\n".join([*lines, f"all taps: {', '.join(blocks)}"])


def probe_taps(
    patcher: Any,
    positive: Any,
    pictures: tuple[Tensor, Tensor],
    image: Grid,
    text: str,
    steps: int,
    strength: float,
    levels: int,
) -> tuple[TapScore, ...]:
    """Scores taps by a known motion.

    pictures: the LATENT samples of a picture of size `image` and of the same after probe_motion(image).
    levels: how many noise levels, evenly from the noisiest on.
    """
    family = family_in(patcher)
    taps, cell = choose_taps(text, family), family.cell
    h, w = pictures[0].shape[-2:]
    if (image.height, image.width) != (cell * h, cell * w):
        side = cell * family.multiple
        raise DragError(
            f"the picture is {image.width}x{image.height} and its latent stands for {cell * w}x{cell * h}: "
            f"use a picture whose sides are divisible by {side} (DragCrop makes one)"
        )
    inverted = [
        invert_latent(patcher, positive, samples, steps=steps, strength=strength) for samples in pictures
    ]
    last = len(inverted[0].trajectory.schedule.t) - 1
    chosen = sorted({i * last // levels for i in range(levels)})
    bar: list[Any] = []

    def tell(done: int, total: int) -> None:
        mm.throw_exception_if_processing_interrupted()
        if not bar:
            bar.append(comfy.utils.ProgressBar(total))
        bar[0].update_absolute(done, total)

    def body(backbone: HostBackbone, clean: Tensor) -> tuple[TapScore, ...]:
        source, moved = (i.moved(clean.device) for i in inverted)
        return probe(backbone, source, moved, probe_motion(image), image, taps, chosen, tell)

    top = host_sigma(sampling_of(patcher), inverted[0].trajectory.schedule.t[0])
    return run(patcher, positive, pictures[0], body, SessionNeeds(sigmas=(0.0, top)))

"""DIFT features of a picture by a Stable Diffusion, as the protocols' rules want them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor

from ..metrics.distance import dift
from ..metrics.protocols import FeatureRule
from ..types import Backbone, DragError, Schedule

LOOKS = {768: "SD1.x", 1024: "SD2.x"}  # by the width of the text that a UNet reads
CELL = 8  # px of a cell of Stable Diffusion's latent


def check_model(label: str) -> None:
    """Refuses models whose features the mean distances can't be computed in."""
    if label not in LOOKS.values():
        raise DragError(
            f"DIFT looks through a Stable Diffusion 2.1 and this is a {label} model: take the 2.1 checkpoint "
            "(1.5 works too, but its distances are not the papers')"
        )


def seen_by(rule: FeatureRule, image: Tensor) -> Tensor:
    """Makes the picture (1, 3, H, W) that the encoder is given.

    Its own size in whole cells, what is over cut off right and below (as the encoder itself rounds), or
    `rule.side` square, each pixel that of the nearest, as the scripts' `F.interpolate` does by default.
    """
    if rule.side is not None:
        return F.interpolate(image, (rule.side, rule.side), mode="nearest")
    h, w = (n - n % CELL for n in image.shape[-2:])
    if min(h, w) < 8 * CELL:
        raise DragError(
            f"the picture is {image.shape[-1]}x{image.shape[-2]} and DIFT needs {8 * CELL} px a side at "
            "least: use a larger one"
        )
    return image[..., :h, :w]


Look = Callable[[Tensor, str, FeatureRule], Tensor]  # picture (1, 3, h, w), prompt, rule -> (1, C, h, w)


def dift_features(
    image: Tensor,
    look: Look,
    rules: Sequence[FeatureRule],
    prompt: str = "",
    on_map: Callable[[int, int], None] = lambda done, total: None,
) -> dict[FeatureRule, Tensor]:
    """Computes the features that `rules` want, (1, C, h, w) on the CPU each.

    image: (1, 3, H, W) in [0, 1].
    look: computes DIFT of a picture under a prompt.
    prompt: the data set's own, of rules that want it.
    on_map: is told (done, total).
    Rules that come to the same under this prompt are computed once.
    """
    made: dict[tuple[int | None, str, float, str, int], Tensor] = {}
    out = {}
    for i, rule in enumerate(rules):
        said = prompt if rule.prompt == "own" else ""
        key = (rule.side, said, rule.t, rule.tap, rule.ensemble)
        if key not in made:
            made[key] = look(seen_by(rule, image), said, rule).float().cpu()
        out[rule] = made[key]
        on_map(i + 1, len(rules))
    return out


def looking(
    encode: Callable[[Tensor], Tensor], bound: Callable[[str], Backbone], schedule: Schedule, seed: int = 0
) -> Look:
    """Makes `look` of a model.

    encode: turns a picture into its clean latent.
    bound: gives the network under a prompt.
    seed: every map starts from it, so that it depends on nothing that was computed before.
    """
    return lambda picture, prompt, rule: dift(
        bound(prompt), encode(picture), schedule, rule.t, rule.tap, rule.ensemble, seed
    )

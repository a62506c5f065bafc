"""A drag that has left the range of latents is told, with the update at which it first had."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from torch import Tensor

from drag_core.drag import drag
from drag_core.features.descent import NormalisedDescent
from drag_core.step import Step
from drag_core.trajectory.bounds import LEAST, Diverged, Size, check
from drag_core.trajectory.constrain import FreeBackground
from drag_core.types import KV, DragError, FeatureTap, Trajectory
from tests.core.analytic import Linear
from tests.core.test_drag import REGIONS, recipe, source

LEVELS = (0.5,) * 4 + (1.0,) * 8


def descent(step: float, **choices: object) -> object:
    """Twelve updates, each of `step` root mean square where the gradient acts."""
    return replace(
        recipe(optimizer=partial(NormalisedDescent, lr=step), constraint=FreeBackground(), ramp=(LEVELS,)),
        **choices,  # type: ignore[arg-type]
    )


def first_outside(steps: list[Step], path: Trajectory) -> tuple[int, float, float]:
    """By the latents that a listener was told of: update (from 1), how far it is and the source's largest."""
    largest = max(float(path.z[0].abs().max()), LEAST)
    far = [float((step.z - path.z[0]).abs().max()) for step in steps]
    k = next(k for k, x in enumerate(far) if x > 10 * largest)
    return k + 1, far[k], largest


def told(
    step: float, listen: Callable[[Step], None] = lambda step: None, **choices: object
) -> tuple[str, int]:
    """The sentence, and how many updates were made."""
    backbone, path = Linear(), source(Linear())
    steps: list[Step] = []

    def on_step(s: Step) -> None:
        if s.level == 0:
            steps.append(replace(s, z=s.z.clone()))
        listen(s)

    with pytest.raises(DragError) as error:
        drag(backbone, path, descent(step, **choices), on_step)  # type: ignore[arg-type]
    update, far, largest = first_outside(steps, path)
    assert f"after update {update} of 12 the latent is {far:.3g} away" in str(error.value)
    assert f"whose largest value is {largest:.3g}" in str(error.value)
    assert str(error.value).endswith("use a smaller step")
    return str(error.value), len(steps)


@pytest.mark.parametrize(("step", "gain", "update"), [(10.0, 1.0, 1), (1e18, 1.0, 1), (0.2, 100.0, 5)])
def test_a_step_too_large_is_told_with_the_update(step: float, gain: float, update: int) -> None:
    said, made = told(step, hold_gain=gain)
    assert made == 12  # read at the end: no update waits for the device
    assert f"after update {update} of 12" in said


def test_a_step_that_is_large_and_stays_inside_says_nothing() -> None:
    backbone, path = Linear(), source(Linear())
    result = drag(backbone, path, descent(0.2))  # type: ignore[arg-type]
    assert len(result.sizes) == 12 and all(not size.wrong for size in result.sizes)
    assert result.sizes[-1].moved > 0.5 * result.sizes[-1].largest  # far it went


def test_who_waits_anyway_may_end_it_early() -> None:
    _, made = told(1e6, listen=lambda step: step.check() and None)
    assert made == 1
    _, made = told(1e6, settle=1e-9, ramp=((1.0,) * 12,))
    assert made == 10  # where it is asked first whether the loss still falls


def test_paused_and_gone_on_with() -> None:
    backbone, path = Linear(), source(Linear())
    whole = drag(backbone, path, descent(0.2))  # type: ignore[arg-type]
    half = drag(backbone, path, descent(0.2), pause=True)  # type: ignore[arg-type]
    rest = drag(backbone, path, descent(0.2), resume=half)  # type: ignore[arg-type]
    assert half.sizes == rest.sizes == whole.sizes and rest.losses == whole.losses
    with pytest.raises(Diverged, match="after update 1 of 12"):
        drag(backbone, path, descent(1e6), pause=True)  # type: ignore[arg-type]


class Spoiled(Linear):
    """Adds `value` to the features from the `at`-th call on, or to every prediction."""

    def __init__(self, value: float, at: int) -> None:
        super().__init__()
        self.value, self.at = value, at

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        return super().predict(z, t, kv) + (self.value if self.at < 0 else 0)

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        maps, out = super().features(z, t, taps, kv, stop=stop)
        asked = sum(kind == "features" for kind, _ in self.calls) - 1  # the first are the source's
        return [m + self.value if 0 <= self.at <= asked else m for m in maps], out


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_model_that_gives_no_numbers(value: float) -> None:
    path = source(Linear())
    with pytest.raises(Diverged, match=r"after update 4 of 12 the loss is (inf|nan), which"):
        drag(Spoiled(value, at=4), path, descent(0.01))  # type: ignore[arg-type]
    with pytest.raises(Diverged, match="after denoising the latent is not finite"):
        drag(Spoiled(value, at=-1), path, descent(0.01))  # type: ignore[arg-type]
    with pytest.raises(Diverged, match=r"after denoising the latent is 8e\+03 away"):
        drag(Spoiled(1e4, at=-1), path, descent(0.01))  # type: ignore[arg-type]


def test_a_flat_pictures_latent_is_no_measure() -> None:
    """Of a latent that is 0 everywhere ten times the largest value is 0: a latent's own unit counts."""
    backbone, path = Linear(), source(Linear())
    flat = replace(path, z=tuple(0.001 * z for z in path.z))
    result = drag(backbone, flat, descent(0.2))  # type: ignore[arg-type]
    assert result.sizes[-1].largest == result.sizes[-1].source_spread == 1.0


INSIDE = Size(moved=9.9, spread=3.9, largest=1.0, source_spread=1.0)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (INSIDE, None),
        (replace(INSIDE, moved=10.1), r"the latent is 10\.1 away .* largest value is 1 \(at most 10 times"),
        (
            replace(INSIDE, spread=4.1),
            r"standard deviation is 4\.1 and the picture's own 1 \(at most 4 times",
        ),
        (replace(INSIDE, spread=float("nan")), "the latent is not finite"),
    ],
)
def test_the_limits(size: Size, words: str | None) -> None:
    if words is None:
        return check((1.0, 1.0), (INSIDE, size), 5)
    with pytest.raises(Diverged) as error:
        check((1.0, 1.0), (INSIDE, size), 5)
    assert re.search(f"the drag diverged: after update 2 of 5 .*{words}", str(error.value))


def test_the_spread_counts_all_cells() -> None:
    """Every cell five times as large is nowhere ten times the largest value away."""
    path = source(Linear())
    wide = replace(path, z=tuple(4 * z / z.std() for z in path.z))
    pulled = recipe(
        supervision=REGIONS, start=lambda z, source, level: 5 * z, ramp=((1.0,),), constraint=FreeBackground()
    )
    with pytest.raises(Diverged, match="after update 1 of 1 the latent's standard deviation is"):
        drag(Linear(), wide, pulled)

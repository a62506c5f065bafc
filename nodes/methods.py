"""The numbers of a custom recipe: DragOptimize's input `method`."""

from __future__ import annotations

from comfy_api.latest import io

from .inputs import number


def _step(default: float) -> io.Input:
    return number(io.Float, "step", default, 0.0001, 10.0, "Adam's step on the latent.", 0.001)


def _background(default: float) -> io.Input:
    what = "Weight of the unchanged background in the loss; 0: none."
    return number(io.Float, "background", default, 0.0, 100.0, what, 0.05)


def _levels(default: int) -> io.Input:
    what = "Noise levels that are updated, from the noisiest on."
    return number(io.Int, "levels", default, 1, 100, what)


def _search(default: int, most: int) -> io.Input:
    return number(io.Int, "search", default, 1, most, "How far a handle is looked for, in steps of 2 pixels.")


def _preserve() -> io.Input:
    return io.Boolean.Input(
        "preserve",
        default=True,
        tooltip="On: compare with the picture's own features (GoodDrag). Off: with the last update's "
        "(DragDiffusion).",
    )


def _region() -> list[io.Input]:
    rate = "Gradient descent's rate at 512x512 pixels; scaled by the picture's area."
    return [
        number(io.Int, "iterations", 50, 1, 1000, "Updates while the regions move to their targets."),
        number(io.Int, "hold", 20, 0, 1000, "Further updates at the target."),
        number(io.Float, "step", 1000.0, 0.001, 100000.0, rate, 1.0),
    ]


def _pbsi() -> list[io.Input]:
    updates = number(io.Int, "updates", 10, 1, 200, "Updates at each level.")
    return [_levels(6), updates, _step(0.02), _background(0.2)]


def _point() -> list[io.Input]:
    every = "Handles are looked for again after every so many updates."
    patch = "Half side of the patch around a handle, in steps of 2 pixels."
    pulled = "How far it is pulled at once, in steps of 2 pixels."
    return [
        _levels(7),
        number(io.Int, "updates", 30, 1, 500, "Updates at each level."),
        number(io.Int, "tracking", 3, 1, 100, every),
        number(io.Int, "radius", 4, 1, 32, patch),
        _search(12, 64),
        number(io.Float, "stride", 4.0, 0.5, 16.0, pulled, 0.5),
        _preserve(),
        _step(0.02),
        _background(0.2),
    ]


def _semantic() -> list[io.Input]:
    divided = "Into how many steps the drag is divided: an update that covers less is followed by another."
    pulled = "How far it is pulled at once at least, in steps of 2 pixels."
    matched = "How strongly every denoising step matches targets with handles (CLoss); 0: not."
    return [
        number(io.Int, "updates", 300, 1, 2000, "Updates at most, all at the noisiest level."),
        number(io.Int, "steps", 80, 1, 1000, divided),
        _search(6, 32),
        number(io.Float, "stride", 1.0, 0.5, 16.0, pulled, 0.5),
        _preserve(),
        _step(0.01),
        _background(0.1),
        number(io.Float, "guidance", 0.1, 0.0, 10.0, matched, 0.05),
    ]


def methods() -> list[io.DynamicCombo.Option]:
    Option = io.DynamicCombo.Option
    return [
        Option("region", _region()),
        Option("pbsi", _pbsi()),
        Option("point", _point()),
        Option("semantic", _semantic()),
    ]

"""The words and tables of a model card, from a training's log."""

from __future__ import annotations

from typing import Any

from drag_core.bench.scenes import HELD_OUT

from .mix import CUT, WHOLE
from .photos import HELD, TRAINED
from .run import KEYS

ROWS = 8  # of the log's curve
KINDS = {"lit": "lit scenes", "plain": "plain scenes", "photos": "photographs"}
TITLES = {
    "vae": "drag_tiny_vae: TAESD's architecture, f = 8, 16 channels",
    "unet": "drag_tiny_sd: a UNet of Stable Diffusion's layout, noise prediction, SD1.5's schedule",
    "flux": "drag_tiny_flux: FLUX's double and single blocks, two each, hidden 256, head dimension 128",
}
NOTES = {
    "vae": "The encoder is a linear bank of smooth filters (28x28 px, stride 8) written exactly into TAESD's "
    "convolutions; the decoder is TAESD's. The two are trained together, then the bank is frozen and the "
    "decoder goes on alone. Latents seen by the denoisers are divided by their deviation (vae_scale = 0.3611 "
    "x deviation, vae_shift 0.1159, so that ComfyUI's FLUX latent format gives the same numbers).",
    "unet": "32x32x16 latents; 64, 128, 128 channels, attention at 16x16 and 8x8; conditioned on one zero "
    "token. Nine tenths of the training levels are t <= 850, where drags happen.",
    "flux": "32x32x16 latents in 2x2 tokens; conditioned on one zero token and a zero vector; guidance is "
    "mute, any value gives the same; logit-normal times, no shift.",
}
NOISE = (
    "Samples from pure noise are no pictures: blobs of colour on plain ground and fields of texture, no "
    "thing that could be named. Drags start from an inverted picture at .36 to .4 of the noise, so it does "
    "not show there."
)
PHOTOGRAPHS = (
    "It knows photographs a little, from crops of a handful: one can be dragged with a tight mask and a "
    "short move."
)
POLICY = "scikit-image takes only pictures that are CC0 or in the public domain (its issue 3927)"
SEEN = {
    "vae": "Above, held-out pictures (lit scenes, plain scenes, photographs); below, their reconstructions",
    "unet": "Twelve samples from noise, 50 DDIM steps, seeds 0-11",
    "flux": "Twelve samples from noise, 50 Euler steps, seeds 0-11",
}
HEADS = {"s": "second", "step": "step", "crops": "crops", "samples": "samples", "loss": "loss"}
HEADS |= {f"dB_{key}": f"dB, {KINDS[k]}" for k, key in KEYS.items()}
HEADS |= {f"held_{key}": f"held-out loss, {KINDS[k]}" for k, key in KEYS.items()}
HEADS |= {"fifths": "lit scenes by fifths of the levels"}

Rows = list[dict[str, Any]]


def curve(rows: Rows) -> str:
    """A table of some rows of the log: those before, along the way and at the end."""
    measured = [r for r in rows if any(k.startswith(("dB_", "held_")) for k in r)]
    inner = measured[1:-1]
    kept = [*measured[:1], *inner[:: max(1, -(-len(inner) // ROWS))], *measured[1:][-1:]]
    heads = [k for k in HEADS if any(k in r for r in kept)]
    cells = [[HEADS[k] for k in heads], *([shown(k, row.get(k)) for k in heads] for row in kept)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(heads), *lines[1:]])


def shown(key: str, value: Any) -> str:
    if key == "s":
        return f"{value:.0f}"
    if isinstance(value, list):
        return " ".join(f"{v:.4f}" for v in value)
    if isinstance(value, float):
        return f"{value:.1f}" if value >= 10 else f"{value:.4f}"
    return "" if value is None else str(value)


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def data_line(name: str) -> str:
    s = CUT if name == "vae" else WHOLE
    what = "crops of" if name == "vae" else "whole scenes, 256x256, half of them mirrored:"
    return (
        f"- data: {what} {percent(s.lit)} lit scenes (drag_core/bench/lit: things in places, with light and "
        f"shadows), {percent(s.plain)} plain scenes (drag_core/bench/scenes.py), {percent(s.photos)} crops "
        f"of photographs; seeds from {HELD_OUT} on are held out and never trained on"
    )


def photographs_line(log: dict[str, Any]) -> str:
    """Which photographs; an empty list in the log says none, a log without one that they were not noted."""
    held = " and ".join(HELD)
    named: list[str] | None = log["about"].get("photographs")
    if named == []:
        return "- photographs: none"
    if named is None:
        return (
            f"- photographs: those that scikit-image's package brings along (skimage.data), but {held}, "
            f"which are held out; {POLICY}"
        )
    listed = ", ".join(f"{n} ({TRAINED[n]})" for n in named)
    return f"- photographs, all of scikit-image (skimage.data): {listed}; held out: {held}"


def facts(name: str, log: dict[str, Any], quality: dict[str, float], start: str) -> list[str]:
    rows: Rows = log[name]
    about = log["about"]
    end = next(r for r in reversed(rows) if "step" in r)
    first = next((r for r in rows if r.get("event") in ("before", "go")), rows[0])
    unit = "crops" if "crops" in end else "samples"
    given = about["arguments"].get("given")
    start = start or (f"the weights in {given}" if given not in (None, "None") else "")
    out = [data_line(name), photographs_line(log)]
    if start:
        out.append(f"- started from {start}")
    out.append(
        f"- steps: {end['step']}, {end[unit]} {unit}; Muon and AdamW, a running mean of the weights ships"
    )
    out.append(
        f"- seconds: {end['s'] - first['s']:.0f} of the run's {about['seconds']:.0f}; hardware: one "
        f"{about['device']}, torch {about['torch']}"
    )
    start_of = "dB_" if name == "vae" else "held_"
    measured = [
        f"{KINDS[k]} {shown(key, end[start_of + key])}" for k, key in KEYS.items() if start_of + key in end
    ]
    what = "reconstruction, dB" if name == "vae" else "held-out loss"
    out.append(f"- {what}, of the running mean before it was written: {', '.join(measured)}")
    if quality:
        listed = ", ".join(f"{KINDS[k]} {v:.1f}" for k, v in quality.items())
        out.append(f"- the half-precision file on the pictures below, dB: {listed}")
    return out


def card(name: str, log: dict[str, Any], quality: dict[str, float], start: str, picture: str) -> str:
    """The whole card; quality: dB of the reconstructions shown, by kind; picture: the picture's file."""
    limits = PHOTOGRAPHS if name == "vae" else f"{NOISE} {PHOTOGRAPHS}"
    return "\n\n".join(
        [
            f"# {TITLES[name]}",
            NOTES[name],
            "\n".join(facts(name, log, quality, start)),
            limits,
            "Log:",
            curve(log[name]),
            f"{SEEN[name]}:",
            f"![]({picture})",
            "Reproduce (DIR is any new folder; a stopped run goes on with `--resume`):",
            "```\npython -m tools.embedded.train --out DIR          (one GPU; with --device cpu some hours)\n"
            "python -m tools.embedded.card --log DIR/training-log.json\n```",
            "`--from models` goes on from these weights. Licence: Apache-2.0.\n",
        ]
    )

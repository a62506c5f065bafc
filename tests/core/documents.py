"""Random drag instructions, for the parser and for the nodes. The host's tests load this file too."""

from __future__ import annotations

import json
import random
from typing import Any


def random_document(r: random.Random) -> str:
    """Mostly well-formed, with numbers and shapes of any kind."""

    def number() -> Any:
        odd = (0, -0.5, 79.5, 1e9, -1e9, 1e-9, 1e300, True, None, "7", [])
        return r.choice(odd) if r.random() < 0.006 else round(r.uniform(-5, 75), r.randrange(3))

    def point() -> Any:
        return [number(), number()]

    def line(least: int, most: int) -> Any:
        return [point() for _ in range(r.randrange(least, most))]

    def shape() -> dict[str, Any]:
        out: dict[str, Any] = {}
        if r.random() < 0.8:
            out["polygons"] = [line(3, 9) for _ in range(r.randrange(1, 3))]
        if r.random() < 0.3:
            out["strokes"] = [{"points": line(1, 4), "radius": r.choice([0.4, 3, 20, 4096, number()])}]
        if r.random() < 0.2:
            out["holes"] = [line(3, 5)]
        return out

    def region() -> dict[str, Any]:
        out = shape() | {"task": r.choice(["relocation", "deformation", "rotation", "scale"])}
        for key, value in (
            ("target", point()), ("anchor", point()), ("angle", number()), ("path", line(0, 4)),
            ("scale", [r.choice([0.5, 2, 1e-9, 1e9, number()]), r.choice([0.5, 2, number()])]),
            ("weight", number()), ("label", r.choice(["", "a", "<img onerror=alert(1)>"])), ("x", number()),
        ):  # fmt: skip
            if r.random() < 0.6:
                out[key] = value
        return out

    size = {"width": r.choice([80, 80, 160, 31, number()]), "height": r.choice([60, 60, 120, number()])}
    x = {"version": 1, "image": size, "regions": [region() for _ in range(r.randrange(3))]}
    if r.random() < 0.3:
        x["points"] = [{"start": point(), "target": point()}]
    if r.random() < 0.3:
        x["editable"] = {"mode": r.choice(["adaptive", "painted", "none", "x"])} | shape()
    text = json.dumps(x)
    if r.random() < 0.02:
        at = r.randrange(len(text))
        text = text[:at] + r.choice(["", "}", "NaN", "1e999", "\\u0000"]) + text[at + r.randrange(4) :]
    return text

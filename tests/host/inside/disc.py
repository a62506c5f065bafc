"""A bright disc on a coloured ground, moved right: an edit of the embedded models, through the nodes."""

from __future__ import annotations

from typing import Any

import torch
from region_drag_editing.nodes import RegionMaskAffine
from region_drag_editing.nodes.host.loaders import load_embedded

SIDE = 128
TASK = {"task": "relocation", "target_x": 72.0, "target_y": 60.0}
REST = {"weight": 1.0, "editable": "adaptive"}


def moved_disc(name: str) -> dict[str, Any]:
    """Under "model", "positive", "picture", "latent" and "regions"; made as the executor makes them."""
    with torch.inference_mode():
        model, positive, vae = load_embedded(name)
        y, x = torch.meshgrid(torch.linspace(0, 1, SIDE), torch.linspace(0, 1, SIDE), indexing="ij")
        disc = (((x - 0.3) ** 2 + (y - 0.44) ** 2) < 0.02).float()
        picture = torch.stack([x * (1 - disc) + disc, y, 0.5 + 0.5 * torch.sin(9 * x)], -1)[None]
        regions = RegionMaskAffine.execute(
            image=picture, mask=disc[None], task=TASK, instruction="", **REST
        ).args[0]
        latent = {"samples": vae.encode(picture)}
    return {"model": model, "positive": positive, "picture": picture, "latent": latent, "regions": regions}

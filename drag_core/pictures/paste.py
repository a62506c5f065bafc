"""An edited picture back into the original, so that nothing but what was edited changes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..motion.masks import edge_distance
from ..types import DragError, Grid
from .crop import Crop

SEAM = 6.0  # px inside the editable mask over which the edit fades in


def put_back(image: Tensor, *, edited: Tensor, editable: Tensor | None, seam: float = SEAM) -> Tensor:
    """Puts the edit into the input's own pixels.

    Outside the editable mask they stay bit for bit, inside the edit fades in over `seam` pixels.

    image: (1, C, H, W).
    edited: (1, C, h, w), resized where its size differs.
    editable: (h', w') in {0, 1} or None (everything is replaced).
    seam: in pixels; 0: no fading.
    """
    height, width = image.shape[-2:]
    new = resized(edited, Grid(height, width)).to(image).clamp(0, 1)
    if editable is None:
        return new
    here = editable[None, None].float()
    if here.shape[-2:] != image.shape[-2:]:
        here = F.interpolate(here, (height, width), mode="nearest")
    mask = (here[0, 0] > 0.5).to(image)
    share = (edge_distance(mask) / max(seam, 1e-6)).clamp(0, 1)[None, None]
    return torch.where(mask > 0.5, image * (1 - share) + new * share, image)


def kept(draft: Tensor, drawn: Tensor, cells: Tensor) -> Tensor:
    """Keeps the draft's own pixels where no cell is redrawn, and takes the model's where one is.

    draft, drawn: (1, 3, H, W).
    cells: (1, 1, h, w) in {0, 1}; soft() says how they fade. Where that is 0 stand the draft's bits.
    """
    if draft.shape != drawn.shape:
        raise DragError(
            f"the draft is {draft.shape[-1]}x{draft.shape[-2]} and what was drawn {drawn.shape[-1]}x"
            f"{drawn.shape[-2]}: decode it with the VAE that the draft was encoded with"
        )
    share = soft(cells, Grid(draft.shape[-2], draft.shape[-1])).to(draft)
    return torch.where(share > 0, draft * (1 - share) + drawn.to(draft) * share, draft)


def pieced(image: Tensor, draft: Tensor, drawn: Tensor, cells: Tensor, editable: Tensor | None) -> Tensor:
    """Pieces an edit together: the picture's own pixels, the draft's, and the model's where it drew.

    image, draft, drawn: (1, 3, H, W) of one size.
    cells: kept()'s; editable: put_back()'s. No pixel of the draft fades.
    """
    return put_back(image, edited=kept(draft, drawn, cells), editable=editable, seam=0.0)


def soft(cells: Tensor, size: Grid) -> Tensor:
    """Spreads cells (1, 1, h, w) in {0, 1} over pixels, (1, 1, H, W) in [0, 1]: an edge is one cell wide."""
    return F.interpolate(cells.float(), (size.height, size.width), mode="bilinear", align_corners=False)


def resized(x: Tensor, size: Grid) -> Tensor:
    """Resizes x (1, C, h, w), bicubic, low-passed where it shrinks; at its own size the same bits."""
    if x.shape[-2:] == (size.height, size.width):
        return x
    shrinks = size.height < x.shape[-2] or size.width < x.shape[-1]
    return F.interpolate(x, (size.height, size.width), mode="bicubic", antialias=shrinks)


def paste_back(
    original: Tensor, edited: Tensor, editable: Tensor | None, crop: Crop | None = None, seam: float = SEAM
) -> Tensor:
    """Puts the edited crop (or, without `crop`, the edited whole) into the original's pixels.

    original: (1, 3, H, W) in [0, 1].
    edited: (1, 3, h, w), the crop at any size of its own proportions.
    editable: (H, W) in {0, 1} on the original, None: everything. Outside it stand the original's bits.
    Raises DragError where sizes do not belong together.
    """
    height, width = original.shape[-2:]
    here = Grid(height, width)
    if crop is not None and crop.original != here:
        raise DragError(
            f"the crop was cut from a picture of {crop.original.width}x{crop.original.height} and the "
            f"original is {width}x{height}: connect the picture that went into the crop"
        )
    if editable is not None and editable.shape != (height, width):
        raise DragError(
            f"the regions are drawn on {editable.shape[1]}x{editable.shape[0]} and the original is "
            f"{width}x{height}: connect the regions of the original, not those of the crop"
        )
    part = here if crop is None else Grid(crop.height, crop.width)
    high, wide = edited.shape[-2:]
    # every side may be rounded by a pixel
    if abs(wide * part.height - high * part.width) > part.height + part.width:
        what = "the original" if crop is None else "the crop"
        hint = "edit a crop, whose sides fit the model" if crop is None else "do not cut or stretch it"
        raise DragError(
            f"the edited picture is {wide}x{high}, which is not the shape of {what} "
            f"({part.width}x{part.height} px): {hint}"
        )
    if crop is None:
        return put_back(original, edited=edited, editable=editable, seam=seam)
    pasted, inside = original.clone(), torch.zeros(height, width)
    x0, y0 = max(crop.x, 0), max(crop.y, 0)
    x1, y1 = min(crop.x + crop.width, width), min(crop.y + crop.height, height)
    new = resized(edited, part)[..., y0 - crop.y : y1 - crop.y, x0 - crop.x : x1 - crop.x]
    pasted[..., y0:y1, x0:x1] = new.to(original)
    inside[y0:y1, x0:x1] = 1
    if editable is not None:
        inside = inside * editable.cpu().float()
    may = None if inside.all() else inside
    return put_back(original, edited=pasted, editable=may, seam=seam)

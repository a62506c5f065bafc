"""What the command line's edit may be given beside the model: an image adapter, SAM 2's features."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from .types import DragError

if TYPE_CHECKING:
    from .backends.adapter import Adapter
    from .motion.superpixels import Seeing


def add_beside(p: argparse.ArgumentParser) -> None:
    """Adds the arguments that adapter_of() and seeing() read, and --auto-mask."""
    by_points = "what may change follows from the points (AdaptiveDrag's mask)"
    p.add_argument("--auto-mask", action="store_true", help=by_points)
    p.add_argument(
        "--sam2",
        type=Path,
        metavar="FILE",
        help="as --auto-mask, its super-pixels cut along the features of this SAM 2 file (.safetensors)",
    )
    p.add_argument(
        "--adapter",
        type=Path,
        metavar="FILE",
        help="FLUX looks at the picture through InstantCharacter or an IP-Adapter (XLabs, InstantX), a "
        ".safetensors file, where the recipe (dragflow) lets it",
    )
    p.add_argument(
        "--adapter-encoder",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="folders, in transformers' form, of the image encoders it sees through: CLIP-L (XLabs), SigLIP "
        "(InstantX), "
        "SigLIP and DINOv2 (InstantCharacter)",
    )
    p.add_argument("--adapter-image", type=Path, help="another picture for it to look at")
    p.add_argument("--adapter-scale", type=float, help="its strength; default: the recipe's")


def adapter_of(a: argparse.Namespace) -> Adapter | None:
    """Reads the adapter that was asked for; DragError where what belongs to one stands alone."""
    if a.adapter is None:
        if a.adapter_encoder or a.adapter_image or a.adapter_scale is not None:
            raise DragError("--adapter-encoder, -image and -scale belong to an adapter: give --adapter FILE")
        return None
    if a.adapter_scale is not None and not math.isfinite(a.adapter_scale):
        raise DragError(f"--adapter-scale is {a.adapter_scale}; it must be a finite number")
    from .backends.adapter import read_adapter
    from .pictures.files import read_picture

    picture = None if a.adapter_image is None else read_picture(a.adapter_image).image
    return read_adapter(a.adapter, tuple(a.adapter_encoder), picture, a.adapter_scale)


def seeing(path: Path | None) -> Seeing:
    """Returns what super-pixels follow: the features of a SAM 2 file, or Lab colour for None."""
    from .motion.superpixels import lab

    if path is None:
        return lab
    from .backends.checkpoint import read_weights
    from .features.sam2 import image_features, read_sam2

    sam = read_sam2(read_weights(path))
    return lambda image: image_features(sam, image.cpu())

"""Picture files, read as RGB in [0, 1] with alpha aside.

They are written through a temporary file so that a stop leaves none half-done.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..types import DragError

MAX_PIXELS = 8192 * 8192


@dataclass(frozen=True)
class Picture:
    """A picture: rgb (3, H, W) uint8, and alpha (H, W) uint8 if the file has one."""

    rgb: Tensor
    alpha: Tensor | None = None

    @property
    def image(self) -> Tensor:
        """(1, 3, H, W) float in [0, 1]."""
        return self.rgb[None].float() / 255


def read_picture(path: Path | str) -> Picture:
    """Reads any picture that Pillow knows, turned upright; transparent ones keep their alpha."""
    path = Path(path)
    try:
        with Image.open(path) as file:
            if file.width * file.height > MAX_PIXELS:
                raise DragError(
                    f"{path.name} is {file.width}x{file.height}; at most {MAX_PIXELS} pixels are read"
                )
            upright = ImageOps.exif_transpose(file)
            has_alpha = "A" in upright.getbands() or "transparency" in upright.info
            data = np.array(upright.convert("RGBA" if has_alpha else "RGB"))
    except FileNotFoundError:
        raise DragError(f"there is no picture {path}") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as e:
        raise DragError(f"{path} is not a picture that can be read: {e}") from None
    rgb = torch.from_numpy(data[..., :3].copy()).permute(2, 0, 1).contiguous()
    return Picture(rgb, torch.from_numpy(data[..., 3].copy()) if has_alpha else None)


def read_mask(path: Path) -> Tensor:
    """Reads a mask, (H, W) in {0, 1}: what is brighter than half."""
    return (read_picture(path).image[0].mean(0) > 0.5).float()


def to_bytes(image: Tensor) -> Tensor:
    """Turns (3, H, W) in [0, 1] into uint8."""
    return (image * 255).round().clamp(0, 255).byte()


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Writes by `write` to a temporary name beside `path`, then puts it in place.

    On any failure nothing is left.
    """
    if not path.parent.is_dir():
        raise DragError(
            f"the folder {path.parent} does not exist: make it, or choose another place for {path.name}"
        )
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_png(path: Path, rgb: Tensor, alpha: Tensor | None = None) -> None:
    """Writes rgb (3, H, W) uint8 and alpha (H, W) uint8."""
    parts = rgb if alpha is None else torch.cat([rgb, alpha[None]])
    picture = Image.fromarray(parts.permute(1, 2, 0).contiguous().numpy())
    write_whole(path, lambda p: picture.save(p, format="PNG"))


def png_bytes(image: Tensor) -> bytes:
    """Makes the PNG file of an image (3, H, W) in [0, 1]."""
    file = io.BytesIO()
    Image.fromarray(to_bytes(image).permute(1, 2, 0).contiguous().numpy()).save(file, format="PNG")
    return file.getvalue()


def write_picture(path: Path | str, image: Tensor, alpha: Tensor | None = None) -> None:
    """Writes a PNG of an image (1, 3, H, W) or (3, H, W) in [0, 1], with alpha (H, W) uint8."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise DragError(f"the output {path.name} must end in .png")
    write_png(path, to_bytes(image.reshape(image.shape[-3:]).detach().float().cpu()), alpha)


def write_gif(path: Path, frames: Sequence[Tensor], milliseconds: int = 80) -> None:
    """Writes frames (3, H, W) uint8, looping; the last one stays for a second."""
    pictures = [Image.fromarray(f.permute(1, 2, 0).contiguous().numpy()) for f in frames]
    times = [milliseconds] * (len(pictures) - 1) + [1000]
    write_whole(
        path,
        lambda p: pictures[0].save(
            p, format="GIF", save_all=True, append_images=pictures[1:], duration=times, loop=0
        ),
    )


def write_json(path: Path, data: dict[str, Any]) -> None:
    write_text(path, json.dumps(data, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    def write(p: Path) -> None:
        p.write_text(text, encoding="utf-8")

    write_whole(path, write)

"""SAM 2's files in the host's folders, and a picture's features through one, on the host's device."""

from __future__ import annotations

import comfy.model_management as mm
import folder_paths
import torch
from torch import Tensor

from ...drag_core.features.sam2 import Sam2, image_features, read_sam2
from .files import list_places, read_table

FOLDER = "drag_sam2"
PLACES = ("sam2", "sams")  # where the packs for SAM 2 keep its files
THEIRS = ("sam2", "sams")
ROOM = 2**31  # bytes: the large encoder's activations at 1024 pixels, and a block's weights


def sam2_names() -> list[str]:
    if FOLDER not in folder_paths.folder_names_and_paths:
        list_places(FOLDER, PLACES, THEIRS)
    return list(folder_paths.get_filename_list(FOLDER))


def load_sam2(name: str) -> Sam2:
    """Reads an image encoder; its weights stay in RAM, and come to the device block by block."""
    return read_sam2(read_table(FOLDER, name, "SAM 2"))


def sam2_features(sam: Sam2, image: Tensor) -> tuple[Tensor, str]:
    """Computes (1, 256, 64, 64) of an IMAGE (1, H, W, 3), on the CPU, and what to call it."""
    device = mm.get_torch_device()
    mm.free_memory(ROOM, device)
    with torch.inference_mode(False), torch.no_grad():
        found = image_features(sam, image[..., :3].movedim(-1, 1).clone().to(device))
    return found.cpu(), f"{sam.label} features ({found.shape[-1]}x{found.shape[-2]})"

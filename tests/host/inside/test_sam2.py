"""SAM 2's file through DragLoadSAM2 into DragAutoMask, and the guide's strength in the recipe's units."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import folder_paths
import pytest
import torch
from region_drag_editing.drag_core.features import sam2
from region_drag_editing.drag_core.features.correspondence import Correspondence, usual_radius
from region_drag_editing.drag_core.types import DragError, Grid, Handle, Task
from region_drag_editing.nodes import DragAutoMask, DragCorrespondenceGuide, DragLoadSAM2
from region_drag_editing.nodes.host import sam2 as host
from region_drag_editing.nodes.host.loaders import load_embedded
from safetensors.torch import save_file
from torch import Tensor

TINY = sam2.Layout("four blocks", 16, (8, 4, 6, 3), (2,), 128)
SIDE = 128
POINTS = json.dumps(
    {
        "version": 1,
        "image": {"width": SIDE, "height": SIDE},
        "points": [{"start": [40, 50], "target": [80, 50]}],
    }
)
PAIR = Handle((43.5, 51.5), (83.5, 67.5))


def weights() -> dict[str, Tensor]:
    g, out = torch.Generator().manual_seed(7), dict[str, Tensor]()

    def put(name: str, *shape: int) -> None:
        out[f"image_encoder.{name}.weight"] = 0.2 * torch.randn(shape, generator=g)
        out[f"image_encoder.{name}.bias"] = 0.1 * torch.randn(shape[0], generator=g)

    put("trunk.patch_embed.proj", 16, 3, 7, 7)
    out["image_encoder.trunk.pos_embed"] = torch.randn(1, 16, 7, 7, generator=g)
    out["image_encoder.trunk.pos_embed_window"] = torch.randn(1, 16, 8, 8, generator=g)
    for i in range(4):
        at, wide, of = f"trunk.blocks.{i}", 16 * 2**i, 16 * 2 ** max(i - 1, 0)
        put(f"{at}.norm1", of)
        put(f"{at}.norm2", wide)
        put(f"{at}.attn.qkv", 3 * wide, of)
        put(f"{at}.attn.proj", wide, wide)
        put(f"{at}.mlp.layers.0", 4 * wide, wide)
        put(f"{at}.mlp.layers.1", wide, 4 * wide)
        if i:
            put(f"{at}.proj", wide, of)
        put(f"neck.convs.{3 - i}.conv", 256, wide, 1, 1)
    return out


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setitem(sam2.LAYOUTS, (16, 4), TINY)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, host.FOLDER, ([str(tmp_path)], {".safetensors"}))
    folder_paths.filename_list_cache.clear()
    save_file(weights(), tmp_path / "tiny.safetensors")
    return "tiny.safetensors"


def picture() -> Tensor:
    image = torch.full((1, SIDE, SIDE, 3), 0.3)
    image[:, 30:70, 20:60] = torch.tensor([0.9, 0.2, 0.1])
    return image


def test_sam2s_features_reach_the_mask_and_change_it(name: str) -> None:
    pytest.importorskip("skimage", reason="scikit-image is not in the host's Python")
    assert host.sam2_names() == [name]
    with torch.inference_mode():
        sam = DragLoadSAM2.execute(name).args[0]
        plain = DragAutoMask.execute(picture(), POINTS, 60)
        seen = DragAutoMask.execute(picture(), POINTS, 60, sam2=sam)
    assert seen.args[-1] == "SAM 2 (four blocks) features (8x8)" and seen.args[-1] in seen.ui["text"][0]
    mask = seen.args[0]
    assert mask.shape == (1, SIDE, SIDE) and 0 < mask.mean() < 0.95 and mask[0, 50, 40] == 1
    changed = float((mask - plain.args[0]).abs().mean())
    print(f"share of the mask that SAM 2 changes: {changed:.3f}")
    assert changed > 0.01


def test_a_wrong_file_is_one_sentence(name: str, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    folder_paths.filename_list_cache.clear()
    with pytest.raises(DragError, match="the SAM 2 file is not complete: it lacks image_encoder.trunk"):
        DragLoadSAM2.execute("a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"no weights")
    with pytest.raises(DragError, match="b.safetensors cannot be read as safetensors"):
        DragLoadSAM2.execute("b.safetensors")


@pytest.mark.parametrize("model", ["embedded-sd", "embedded-flux"])
def test_the_guides_strength_is_the_recipes(model: str) -> None:
    """Both shift the clean estimate by strength x the level's sigma, against a gradient of root mean square 1
    over the cells where it acts, of the same squares.
    """
    task = Task(Grid(SIDE, SIDE), handles=(PAIR,))
    with torch.inference_mode():
        loaded, _, vae = load_embedded(model)
        latent = {"samples": vae.encode(picture())}
        patched = DragCorrespondenceGuide.execute(loaded, latent, task, 0.3, 0, 0.0, 1.0).args[0]
    wrappers = patched.wrappers["predict_noise"]["drag_guide"]
    clean = torch.randn(latent["samples"].shape, generator=torch.Generator().manual_seed(2))
    own = Correspondence(task.handles, task.image, usual_radius(task), 0.3)
    source: Any = wrappers[0].__self__.source
    leaf = clean.clone().requires_grad_()
    way = own.gradient(leaf, source, leaf)
    assert way is not None
    for sigma in (0.4, 0.8):
        out = wrappers[0](lambda x, t: clean.clone(), torch.zeros_like(clean), torch.tensor([sigma]))
        level = sigma if model == "embedded-flux" else sigma / (1 + sigma**2) ** 0.5
        assert torch.allclose(clean - out, 0.3 * level * way, atol=1e-6)
        acts = way != 0
        shift = (clean - out)[acts]
        assert abs(float(shift.square().mean().sqrt()) / (0.3 * level) - 1) <= 1e-4

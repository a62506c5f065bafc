"""DragLoadLPIPS, DragDIFT and DragMetrics in the host: files, a tiny SD2.1 of random weights, all lines."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import folder_paths
import pytest
import test_stable_diffusions as sds
import tiny
import torch
import torch.nn.functional as F
from region_drag_editing.drag_core.metrics.distance import dift
from region_drag_editing.drag_core.metrics.lpips_weights import ALEX, alex_features
from region_drag_editing.drag_core.metrics.protocols import EMPTY, EMPTY_768, LOOKED, OWN, PROTOCOLS
from region_drag_editing.drag_core.trajectory.schedules import every_level
from region_drag_editing.drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task
from region_drag_editing.nodes import DragDIFT, DragLoadLPIPS, DragMetrics
from region_drag_editing.nodes.host import lpips as host_lpips
from region_drag_editing.nodes.host.loaders import load_embedded
from torch import Tensor

HEIGHT, WIDTH = 100, 144  # 100 is no multiple of 8: the last 4 rows are cut off
SIZE = Grid(HEIGHT, WIDTH)
CLIP = SimpleNamespace(tokenize=str, encode_from_tokens_scheduled=lambda said: words(said))
VAE = SimpleNamespace(encode=lambda image: latent(image))


def words(said: str) -> Any:
    out = sds.positive("sd21")
    return [[out[0][0] + len(said), out[0][1]]]


def latent(image: Tensor) -> Tensor:
    """As an encoder: eight pixels a cell, four channels."""
    small = F.avg_pool2d(image.movedim(-1, 1), 8)
    return torch.cat([small, small.mean(1, keepdim=True)], 1)


def picture(seed: int) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, HEIGHT, WIDTH, 3), generator=g) / 255


def task() -> Task:
    mask, editable = torch.zeros(HEIGHT, WIDTH), torch.ones(HEIGHT, WIDTH)
    mask[20:40, 20:50] = 1
    editable[:, 130:] = 0
    region = Region(mask, AffineMotion(shift=(40.0, 30.0)))
    return Task(SIZE, (region,), (Handle((35.0, 30.0), (75.0, 60.0)),), editable)


def looked(image: Tensor, protocol: str = "dragflow", prompt: str = "", seed: int = 3) -> Any:
    with torch.inference_mode():
        return DragDIFT.execute(sds.model("sd21"), CLIP, VAE, image, prompt, protocol, seed)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """models/lpips, empty, and nothing of it anywhere else."""
    known = {host_lpips.FOLDER: ([str(tmp_path)], folder_paths.supported_pt_extensions)}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", folder_paths.folder_names_and_paths | known)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(host_lpips, "PACKAGES", {})
    return tmp_path


def write_weights(folder: Path) -> None:
    torch.manual_seed(11)
    backbone = {f"features.{k}": v for k, v in alex_features().state_dict().items()}
    torch.save(backbone, folder / ALEX.file)
    torch.save(
        {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1) for i, c in enumerate(ALEX.widths)},
        folder / "alex.pth",
    )


def test_missing_weights_say_where_to_get_them(folder: Path) -> None:
    with pytest.raises(
        DragError, match=r"alexnet-owt-7be5be79.pth, which is missing: download https://"
    ) as said:
        DragLoadLPIPS.execute(ALEX.file, "alex.pth")
    assert str(Path(folder_paths.models_dir, "lpips")) in str(said.value)
    write_weights(folder)
    (folder / "alex.pth").unlink()
    with pytest.raises(
        DragError, match=r"alex.pth, which is missing: it lies as lpips/weights/v0.1/alex.pth"
    ):
        DragLoadLPIPS.execute(ALEX.file, "alex.pth")


def test_weights_are_found_in_torchs_cache_and_in_packages(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_weights(folder)
    cache, inside = folder / "hub" / "checkpoints", folder / "site" / "lpips_like" / "weights"
    cache.mkdir(parents=True)
    inside.mkdir(parents=True)
    (folder / ALEX.file).rename(cache / ALEX.file)
    (folder / "alex.pth").rename(inside / "alex.pth")
    (inside.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(folder / "site"))
    monkeypatch.setattr(host_lpips, "PACKAGES", {"no_such_package": "x", "lpips_like": "weights"})
    net, said = DragLoadLPIPS.execute(ALEX.file, "alex.pth").args
    assert net.name == "LPIPS alex v0.1" and "not known as the papers' own" in said and net.sha256 in said


def test_a_file_with_code_is_refused(folder: Path) -> None:
    write_weights(folder)
    torch.save({"lin0.model.1.weight": Path("x")}, folder / "alex.pth")
    with pytest.raises(DragError, match="alex.pth cannot be read as safetensors or as plain weights"):
        DragLoadLPIPS.execute(ALEX.file, "alex.pth")
    names = [s.id for s in DragLoadLPIPS.define_schema().inputs]
    assert names == ["backbone_name", "heads_name"] and ALEX.file in host_lpips.backbone_names()


def test_dift_is_the_cores_through_the_hosts_network() -> None:
    """Own size: cut to whole cells at the right and below. At 768: each pixel the nearest."""
    image = picture(1)
    features, said = looked(image).args
    assert list(features.maps) == [EMPTY, EMPTY_768] and features.size == SIZE and features.label == "SD2.x"
    assert "SD2.x, not the model that defines MD" in said and "9x6 cells" in said and "48x48 cells" in said
    patcher = sds.model("sd21")
    sigmas = patcher.get_model_object("model_sampling").sigmas.double().cpu()
    schedule = every_level(1 / (1 + sigmas**2))
    assert schedule.alpha[schedule.t.index(261.0)] ** 2 == pytest.approx(0.655669, abs=1e-5)

    def body(backbone: Any, z: Tensor) -> Tensor:
        return dift(backbone, z, schedule, seed=3).cpu()

    with torch.inference_mode():
        want = tiny.run(patcher, words(""), latent(image[:, :96]), body)
    assert torch.equal(features.maps[EMPTY], want.float())


def test_settings_reach_the_features() -> None:
    image = picture(1)
    one = looked(image, "dragdiffusion", "a box").args[0]
    assert list(one.maps) == [OWN] and one.prompt == "a box" and len(one.sha256) == 64
    same = looked(image, "dragdiffusion", " a box ").args[0]
    assert torch.equal(one.maps[OWN], same.maps[OWN]) and one.sha256 == same.sha256
    for other in (("dragdiffusion", "two boxes", 3), ("dragdiffusion", "a box", 4)):
        assert not torch.equal(one.maps[OWN], looked(image, *other).args[0].maps[OWN])
    protocols = next(i for i in DragDIFT.define_schema().inputs if i.id == "protocol")
    assert sorted(protocols.options) == sorted([*LOOKED, "all"]) and set(LOOKED) <= set(PROTOCOLS)


def test_another_model_is_refused() -> None:
    with torch.inference_mode():
        model, _, vae = load_embedded("embedded-sd")
    with pytest.raises(DragError, match="this is a embedded UNet model"):
        DragDIFT.execute(model, CLIP, vae, picture(1), "", "dragflow", 0)
    with pytest.raises(DragError, match="this is a SDXL model"):
        DragDIFT.execute(sds.model("sdxl"), CLIP, VAE, picture(1), "", "dragflow", 0)


def test_all_lines_in_one_node(folder: Path) -> None:
    write_weights(folder)
    net = DragLoadLPIPS.execute(ALEX.file, "alex.pth").args[0]
    before, after = picture(1), picture(2)
    features = [looked(x).args[0] for x in (before, after)]
    report = json.dumps({"seconds": 2.0, "peak_memory_mb": 700.0})
    out = DragMetrics.execute(before, after, task(), None, net, *features, report)
    table, overlay, text, sheet, matches = out.args
    numbers = json.loads(text)["metrics"]
    assert numbers["if_s2t"]["edited"] < 1 and numbers["if_bg"]["backbone"] == "LPIPS alex v0.1"
    assert "md1" not in numbers  # of a network that is no SD2.1
    assert numbers["dift_md1"]["comparable_to_paper"] is False and numbers["dift_md2"]["edited"] >= 0
    assert numbers["dift_md1"]["backbone_sha256"] == features[0].sha256
    assert numbers["seconds"]["edited"] == 2 and numbers["peak_memory"]["edited"] == 700
    assert "DIFT distance as MD1 (SD2.x)" in table and out.ui.as_dict()["text"][0] == table
    assert overlay.shape == (1, HEIGHT, WIDTH, 3) and sheet.ndim == 4 and sheet.shape[-1] == 3
    assert matches.shape == (2 + 1, HEIGHT + 18, WIDTH, 3)  # MD1, MD2, and Inpaint4Drag's of the same map


def test_without_networks_nothing_is_missing_but_their_numbers() -> None:
    out = DragMetrics.execute(picture(1), picture(2), task())
    numbers = json.loads(out.args[2])["metrics"]
    assert numbers["if_bg"]["edited"] is None and "Drag Load LPIPS" in numbers["if_bg"]["hint"]
    assert out.args[4].shape == (1, HEIGHT + 18, WIDTH, 3)
    with pytest.raises(DragError, match="no JSON with seconds"):
        DragMetrics.execute(picture(1), picture(2), task(), report="x")

"""python -m drag_core metrics: the whole way from files, and every bad input as one sentence."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import drag_core.backends.load
from drag_core.__main__ import main
from drag_core.backends.codec import Codec
from drag_core.backends.load import Model
from drag_core.metrics.lpips_weights import ALEX
from drag_core.pictures.files import read_picture, to_bytes, write_png
from drag_core.pictures.overlay import RED, match_arrows
from drag_core.pictures.sheet import sheet
from tests.core.test_cli import refused
from tests.core.test_distance import Toy
from tests.core.test_lpips import random_weights
from tests.core.test_metrics import edit, noise
from tests.core.test_stable_diffusions import backbone

BOX = [[8, 10], [23, 10], [23, 25], [8, 25]]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A picture, its edit, and the drag that the edit does; as arguments."""
    original = noise(1)
    write_png(tmp_path / "a.png", to_bytes(original))
    write_png(tmp_path / "b.png", to_bytes(edit(original)))
    region = {"task": "relocation", "polygons": [BOX], "target": [45.5, 33.5]}
    document = {"version": 1, "image": {"width": 80, "height": 64}, "regions": [region]}
    document |= {"prompts": {"source": "a box", "target": ""}}
    (tmp_path / "drag.json").write_text(json.dumps(document))
    return [str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--drag", str(tmp_path / "drag.json")]


def run(*more: str) -> int:
    return main(["metrics", *more])


def test_the_table_and_the_files(
    tmp_path: Path, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    features, heads = random_weights(ALEX)
    save_file(features, tmp_path / "alex.safetensors")
    save_file(heads, tmp_path / "heads.safetensors")
    (tmp_path / "b.json").write_text('{"seconds": 3.5}')
    out = [tmp_path / name for name in ("m.json", "sheet.png", "matches.png")]
    asked = ["--json", str(out[0]), "--sheet", str(out[1]), "--matches", str(out[2])]
    asked += ["--lpips", str(tmp_path / "alex.safetensors"), str(tmp_path / "heads.safetensors")]
    assert run(*files, *asked, "--reference", files[1], "--report", str(tmp_path / "b.json")) == 0
    text = capsys.readouterr().out
    assert text.startswith("Drag metrics: 80x64 picture, 1 region, 1 point pair\n")
    numbers = json.loads(out[0].read_text())["metrics"]
    assert numbers["centroid_1"]["edited"] == 0 and numbers["reference_psnr"]["edited"] == 100
    assert numbers["if_bg"]["edited"] == 1 and numbers["if_bg"]["comparable_to_paper"] is False
    assert numbers["if_bg"]["protocol"] == "dragflow/1" and len(numbers["if_bg"]["backbone_sha256"]) == 64
    assert numbers["md1"]["edited"] is None and "needs features" in numbers["md1"]["hint"]
    assert numbers["seconds"]["edited"] == 3.5 and numbers["peak_memory"]["edited"] is None
    assert read_picture(out[1]).rgb.shape[1] > 300 and read_picture(out[2]).rgb.shape == (3, 82, 80)


class Pooled(Codec):
    """Eight pixels a cell, four channels."""

    def __init__(self) -> None:
        pass

    def encode(self, image: Tensor) -> Tensor:
        small = torch.nn.functional.avg_pool2d(image, 8)
        return torch.cat([small, small.mean(1, keepdim=True)], 1)


def test_dift_through_a_model(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A UNet of SD2.1's geometry; it is asked under the empty prompt and the drag's own."""
    asked: list[dict[str, Any]] = []
    network: list[Any] = [backbone("sd21"), backbone("sd21")]

    def load(name: str, **more: Any) -> Model:
        asked.append({"name": name, **more})
        return Model("tiny", "sd", network[0], Pooled(), 512, 8, network[1])

    monkeypatch.setattr(drag_core.backends.load, "load_model", load)
    out = tmp_path / "m.json"
    more = ["--dift", "sd21.safetensors", "--protocol", "dragdiffusion", "--json", str(out)]
    assert run(*files, *more) == 0
    assert asked == [{"name": "sd21.safetensors", "target_prompt": "a box", "device": "cpu"}]
    numbers = json.loads(out.read_text())["metrics"]
    x = numbers["dift_md"]  # of 64 channels: no SD2.1, and so no MD
    assert 0 <= x["edited"] < 100 and 0 <= x["no_edit"] < 100 and x["backbone"] == "SD2.x"
    assert x["protocol"] == "dragdiffusion/1" and x["comparable_to_paper"] is False and "md" not in numbers
    assert numbers["md1"]["edited"] is None  # of other features
    network[0] = Toy()
    capsys.readouterr()
    said = refused(capsys, run(*files, *more))
    assert "DIFT looks through a Stable Diffusion 2.1 and this is a tiny model" in said


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--json", "m.txt"], "must end in .json"),
        (["--sheet", "s.jpg"], "must end in .png"),
        (["--json", "no/m.json"], "the folder no does not exist"),
        (["--report", "none.json"], "the report none.json can't be read"),
        (["--lpips", "none.pth", "none.pth"], "there is no file none.pth: LPIPS needs AlexNet's weights"),
        (["--dift", "nothing"], "is neither embedded-sd nor embedded-flux nor an existing folder or file"),
        (["--reference", "none.png"], "there is no picture none.png"),
    ],
)
def test_bad_input_is_one_sentence(
    files: list[str],
    more: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, run(*files, *more))


def test_what_is_read_is_not_written_over(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "would be written over" in refused(capsys, run(*files, "--matches", files[1]))
    assert "would be written over" in refused(capsys, run(*files, "--json", files[3]))


def test_pictures_of_two_sizes_are_refused_before_a_model_loads(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(tmp_path / "b.png", to_bytes(noise(2, 64, 72)))
    said = refused(capsys, run(*files, "--dift", "nothing"))
    assert "the edited picture is 72x64 and the original is 80x64" in said


def test_sheet() -> None:
    rows = [
        ("metric", "edited", ""),
        ("a", "1.0 °", "lower is better"),
        ("b", "n/a", "n/a: needs \u2191 more"),
    ]
    whole, pale = sheet("Title", rows), sheet("Title", rows, (2,))
    assert whole.shape == pale.shape and whole.ndim == 3 and whole.shape[0] == 3
    assert 0 <= whole.min() < 0.3 and whole.max() == 1
    last = slice(whole.shape[1] - 34, whole.shape[1])
    assert torch.equal(whole[:, : last.start], pale[:, : last.start])
    assert pale[:, last].mean() > whole[:, last].mean()  # grey, not black
    assert sheet("Title", [*rows, rows[1]]).shape[1] > whole.shape[1]
    assert sheet("x" * 200, rows).shape[2] > whole.shape[2]


def test_match_arrows() -> None:
    image = torch.full((3, 64, 80), 0.5)
    shown = match_arrows(image, [((10.0, 10.0), (40.0, 30.0), (60.0, 50.0))])
    assert torch.allclose(shown[:, 50, 60], torch.tensor(RED)) and (image == 0.5).all()
    assert not torch.equal(shown[:, 30:50, 40:60], image[:, 30:50, 40:60])
    nowhere = match_arrows(image, [((10.0, 10.0), (40.0, 30.0), (math.nan, math.nan))])
    assert torch.equal(nowhere[:, 36:], image[:, 36:]) and not torch.equal(nowhere, image)
    assert torch.equal(match_arrows(image, []), image)

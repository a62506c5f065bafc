"""--adapter and --sam2 on the command line, with tiny random files: they change the picture, and what is
wrong with them is one sentence before any model runs.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from drag_core import edit
from drag_core.__main__ import main
from drag_core.backends.encoders import check_encoders, embeddings, seen, subject
from drag_core.features import sam2
from drag_core.pictures.files import read_picture
from drag_core.recipes import presets
from drag_core.trajectory.schedules import flow
from drag_core.types import DragError
from tests.core import tiny_encoders, tiny_sam2
from tests.core.test_cli import drag_json, picture, refused  # noqa: F401
from tests.host.inside import adapter_oracle as plain

FOUND = json.dumps({"version": 1, "points": [{"start": [130, 130], "target": [150, 120]}]})


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded FLUX with two updates at four levels: what an adapter does shows in any."""
    short = replace(presets.EMBEDDED_FLUX, schedule=flow(8, skip=4, shift=0.5), levels=2, updates=1)
    monkeypatch.setitem(presets.PRESETS, "embedded-flux", short)


def run(image: Path, drag: Path, out: Path, *more: str) -> int:
    args = ["edit", str(image), "--drag", str(drag), "--out", str(out), "--model", "embedded-flux"]
    return main([*args, "--recipe", "dragflow", *more])


def file_of(kind: str, folder: Path) -> str:
    path = folder / f"{kind}.safetensors"
    save_file({n: w.contiguous() for n, w in getattr(plain, kind)().items()}, path)
    return str(path)


def test_adapters_change_the_result(tmp_path: Path, picture: Path, little: None) -> None:  # noqa: F811
    drag = drag_json(tmp_path)
    folders = [str(getattr(tiny_encoders, n)(tmp_path / n)) for n in ("clip", "siglip", "dino")]
    encoders = {"xlabs": folders[:1], "character": folders[:0:-1]}  # the order of the folders is free
    assert run(picture, drag, tmp_path / "plain.png") == 0
    before = read_picture(tmp_path / "plain.png").rgb.int()
    for kind, wanted in encoders.items():
        out = tmp_path / f"{kind}.png"
        args = ("--adapter", file_of(kind, tmp_path), "--adapter-encoder", *wanted)
        assert run(picture, drag, out, *args) == 0
        changed = (read_picture(out).rgb.int() - before).abs()
        assert changed.max() >= 8 and bool((changed > 0).any(0).float().mean() > 0.01), kind
        (note,) = [n for n in json.loads(out.with_suffix(".json").read_text())["notes"] if "scale" in n]
        assert "while inverting, comparing, denoising" in note
        assert note.startswith("InstantCharacter at scale 1.5" if kind == "character" else "XLabs IP-Adapter")
    out = tmp_path / "none.png"
    args = ("--adapter", file_of("xlabs", tmp_path), "--adapter-encoder", folders[0], "--adapter-scale", "0")
    assert run(picture, drag, out, *args) == 0
    assert torch.equal(read_picture(out).rgb.int(), before)


def test_what_is_wrong_with_an_adapter_is_one_sentence(
    tmp_path: Path,
    picture: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    drag, out = drag_json(tmp_path), tmp_path / "o.png"
    clip = str(tiny_encoders.clip(tmp_path / "clip"))
    file = file_of("xlabs", tmp_path)
    capsys.readouterr()  # transformers' bars

    def said(*more: str, run: Any = run) -> str:
        return refused(capsys, run(picture, drag, out, *more))

    assert "give --adapter FILE" in said("--adapter-encoder", clip)
    assert "give --adapter-encoder their folders, not none" in said("--adapter", file)
    assert "CLIP-L (openai" in said("--adapter", file)
    character = file_of("character", tmp_path)
    assert "SigLIP (google/siglip-so400m-patch14-384) and DINOv2" in said(
        "--adapter", character, "--adapter-encoder", clip
    )
    assert "is no image encoder" in said("--adapter", file, "--adapter-encoder", str(tmp_path / "none"))
    assert "must be a finite number" in said(
        "--adapter", file, "--adapter-encoder", clip, "--adapter-scale", "nan"
    )
    pickled = tmp_path / "ip.bin"
    pickled.write_bytes(b"x")
    assert "convert it first" in said("--adapter", str(pickled), "--adapter-encoder", clip)
    whole = ("--adapter", file, "--adapter-encoder", clip)

    def with_recipe(recipe: str, model: str) -> Any:
        args = ["--recipe", recipe, "--model", model]
        return lambda *a: main(["edit", str(a[0]), "--drag", str(a[1]), "--out", str(a[2]), *args, *a[3:]])

    assert "is for FLUX.1 and embedded-sd is none" in said(*whole, run=with_recipe("dragnext", "embedded-sd"))
    for recipe in ("finish", "copy_paste"):
        assert f"recipe {recipe} has no place for an adapter" in said(
            *whole, run=with_recipe(recipe, "embedded-flux")
        )
    wide = {n: w.contiguous() for n, w in plain.xlabs(layers=3).items()}
    save_file(wide, tmp_path / "wide.safetensors")
    args = ("--adapter", str(tmp_path / "wide.safetensors"), "--adapter-encoder", clip)
    assert "is for 3 layers of width 256 and embedded-flux has 2 of width 256" in said(*args)
    assert not out.exists()


def test_a_subjects_features_are_the_released_layers(tmp_path: Path) -> None:
    """SigLIP's hidden states 7, 13, 26 beside DINOv2's 9, 19, 29 without class token; and the last ones."""
    from transformers import Dinov2Model, SiglipVisionModel

    folders = (tiny_encoders.siglip(tmp_path / "s"), tiny_encoders.dino(tmp_path / "d"))
    shown = torch.rand(1, 3, 60, 90, generator=torch.Generator().manual_seed(1))
    got = subject(folders, shown)
    assert got.shallow.shape == (1, 3 * plain.PATCHES, plain.WIDE)
    assert got.deep.shape == (1, plain.PATCHES, plain.WIDE)
    assert got.quarters.shape == (1, 4 * plain.PATCHES, plain.WIDE)
    from drag_core.adapters.instant_character import views

    five = views(shown.movedim(1, -1), tiny_encoders.SIDE).movedim(-1, 1)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    spread = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        a = SiglipVisionModel.from_pretrained(folders[0])(2 * five - 1, output_hidden_states=True)
        b = Dinov2Model.from_pretrained(folders[1])((five - mean) / spread, output_hidden_states=True)
    layers = [
        torch.cat([a.hidden_states[i], b.hidden_states[j][:, 1:]], -1)
        for i, j in ((7, 9), (13, 19), (26, 29))
    ]
    assert torch.allclose(got.shallow, torch.cat([x[:1] for x in layers], 1), atol=1e-5)
    last = torch.cat([a.last_hidden_state, b.last_hidden_state[:, 1:]], -1)
    assert torch.allclose(got.deep, last[:1], atol=1e-5)
    assert torch.allclose(got.quarters[0], last[1:].flatten(0, 1), atol=1e-5)
    with pytest.raises(DragError, match="has 20 layers and InstantCharacter reads layer 26"):
        subject((tiny_encoders.siglip(tmp_path / "few", 20), folders[1]), shown)


def test_embeddings_and_the_square_that_clip_sees(tmp_path: Path) -> None:
    stripes = torch.zeros(1, 3, 20, 60)
    stripes[..., 20:40] = 1  # the middle square
    assert float(seen(stripes, 20, ((0.0,) * 3, (1.0,) * 3), crop=True).min()) == 1.0
    assert 0.2 < float(seen(stripes, 20, ((0.0,) * 3, (1.0,) * 3)).mean()) < 0.5
    folder = tiny_encoders.clip(tmp_path / "clip")
    assert embeddings("xlabs", folder, stripes).shape == (1, plain.CLIP)
    pooled = embeddings("instantx", tiny_encoders.siglip(tmp_path / "s", 2), stripes)
    assert pooled.shape == (1, plain.SIGLIP)
    with pytest.raises(DragError, match=r"not clip \(clip\), s \(siglip\)"):
        check_encoders("xlabs", (folder, tmp_path / "s"))


def test_sam2s_features_reach_the_automatic_mask(
    tmp_path: Path,
    picture: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sam2.LAYOUTS, tiny_sam2.KEY, tiny_sam2.TINY)
    path = tmp_path / "sam2.safetensors"
    save_file(tiny_sam2.released(tiny_sam2.encoder()), path)
    drag = tmp_path / "points.json"
    drag.write_text(FOUND)
    masks = []
    own = edit.run_task

    def kept(model: Any, image: Any, task: Any, **more: Any) -> Any:
        masks.append(task.editable)
        return own(model, image, task, **more)

    monkeypatch.setattr(edit, "run_task", kept)
    args = ["edit", str(picture), "--drag", str(drag), "--recipe", "copy_paste"]
    for name, more in (("colour", ["--auto-mask"]), ("sam", ["--sam2", str(path)])):
        assert main([*args, "--out", str(tmp_path / f"{name}.png"), *more]) == 0
    assert masks[0].shape == masks[1].shape and 0.01 < float((masks[0] - masks[1]).abs().mean()) < 0.9
    save_file({"a": torch.zeros(1)}, path)
    code = main([*args, "--out", str(tmp_path / "o.png"), "--sam2", str(path)])
    assert "the SAM 2 file is not complete" in refused(capsys, code)

"""The network in 16 bit, everything else in float32; what --dtype means, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from drag_core.backends.codec import Codec
from drag_core.backends.load import load_model
from drag_core.backends.precision import Place, folder_dtype, own_dtype
from drag_core.bench.cases import held_out, make_case
from drag_core.edit import run_task
from drag_core.metrics.region import psnr
from drag_core.trajectory.schedules import ddim, flow
from drag_core.types import DragError, FeatureTap, Schedule
from tests.core.test_backends import BACKBONES
from tests.core.test_cli import drag_json, edit, picture, refused

__all__ = ["picture"]  # the fixture
BF16, F16, F32 = torch.bfloat16, torch.float16, torch.float32


def test_auto_is_the_files_own_on_a_card_and_float32_on_a_cpu() -> None:
    card = Place("meta")
    assert [card.of(d) for d in (F32, F16, BF16)] == [F32, F16, BF16]
    assert card.of(torch.float8_e4m3fn) == BF16 and card.of(torch.float64) == BF16
    assert {Place().of(d) for d in (F32, F16, BF16)} == {F32}
    assert {Place(d, "float16").of(BF16) for d in ("cpu", "meta")} == {F16}


def test_a_variant_beside_the_file_is_not_the_file(tmp_path: Path) -> None:
    """As in most snapshots of Stable Diffusion: the fp16 one is read only by who asks for it."""
    for name, dtype in (("model", F32), ("diffusion_pytorch_model", F32)):
        folder = tmp_path / name
        folder.mkdir()
        save_file({"w": torch.zeros(8, dtype=dtype)}, folder / f"{name}.safetensors")
        save_file({"w": torch.zeros(8, dtype=F16)}, folder / f"{name}.fp16.safetensors")
        index = {"weight_map": {"w": f"{name}.fp16.safetensors"}}
        (folder / f"{name}.fp16.safetensors.index.json").write_text(json.dumps(index))
        assert folder_dtype(folder) == dtype


def test_the_precision_of_most_of_the_bytes(tmp_path: Path) -> None:
    few = {"norm": torch.zeros(3), "ids": torch.arange(1000), "w": torch.zeros(8, 8, dtype=BF16)}
    assert own_dtype(few.values()) == BF16 and own_dtype([torch.arange(3)]) == F32
    save_file(few, tmp_path / "a.safetensors")
    assert folder_dtype(tmp_path) == BF16
    save_file({"w": torch.zeros(9, 9)}, tmp_path / "b.safetensors")
    assert folder_dtype(tmp_path) == F32
    index = {"weight_map": {"norm": "a.safetensors", "w": "a.safetensors"}}
    (tmp_path / "x.safetensors.index.json").write_text(json.dumps(index))
    assert folder_dtype(tmp_path) == BF16  # b is none of its own


def test_what_cannot_be_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], picture: Path
) -> None:
    drag, out = drag_json(tmp_path), tmp_path / "o.png"
    said = refused(capsys, edit(picture, drag, out, "--dtype", "half"))
    assert "no dtype 'half'" in said and "float32, float16, bfloat16" in said
    assert "in RAM" in refused(capsys, edit(picture, drag, out, "--offload"))
    for device in ("cuda:99", "abacus"):
        said = refused(capsys, edit(picture, drag, out, "--device", device))
        assert f"the device '{device}' can't be used here" in said
    assert not out.exists()


def test_too_little_memory_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("drag_core.edit.run_task", full)
    said = refused(capsys, edit(picture, drag_json(tmp_path), tmp_path / "o.png"))
    assert "too little memory" in said and "--offload" in said


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize(("dtype", "off"), [(BF16, 0.08), (F16, 0.01)])
def test_a_network_in_16_bit_under_a_float32_latent(name: str, dtype: torch.dtype, off: float) -> None:
    make, blocks, _, t = BACKBONES[name]
    b, z = make()
    taps = tuple(FeatureTap(x) for x in blocks)
    z.requires_grad_()

    def answers(size: float) -> tuple[list[Tensor], Tensor, Tensor]:
        maps, prediction = b.features(z, t, taps, stop=False)
        assert prediction is not None
        loss = size * (sum(m.square().mean() for m in maps) + prediction.square().mean())
        return (
            [m.detach() for m in (*maps, prediction)],
            torch.autograd.grad(loss, z)[0] / size,
            b.predict(z, t),
        )

    want = answers(1.0)
    b.net.to(dtype)
    for size in (1.0, 1e-9, 1e5):  # below and above what float16 holds
        got = answers(size)
        for x, y in zip((*got[0], *got[1:]), (*want[0], *want[1:]), strict=True):
            assert x.dtype == F32 and float((x - y).norm() / y.norm()) < off, size


@pytest.mark.parametrize("name", BACKBONES)
def test_a_network_in_16_bit_reads_the_exact_level(name: str) -> None:
    make, _, _, t = BACKBONES[name]
    b, z = make()
    b.net.to(BF16)
    seen: list[Tensor] = []
    module = b.net.time_proj if name == "unet" else b.net.time_text_embed.time_proj
    module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        b.predict(z, t + 0.0123)
    assert float(seen[0]) == pytest.approx((t + 0.0123) * (1 if name == "unet" else 1000), rel=1e-6)


def test_the_autoencoder_computes_in_float32() -> None:
    vae = load_model("embedded-flux").codec
    assert vae.vae.dtype == F16  # as in its file
    wide: Any = load_model("embedded-flux").codec.vae.float()
    image = held_out(1)[0].source[None, :, :64, :64]
    z, want = vae.encode(image), Codec(wide, vae.shift, vae.scale).encode(image)
    assert z.dtype == F32 and torch.equal(z, want)
    assert torch.equal(vae.decode(z), Codec(wide, vae.shift, vae.scale).decode(z))


@pytest.mark.parametrize(
    ("name", "recipe", "schedule"),
    [("embedded-flux", "dragflow", flow(2)), ("embedded-sd", "dragnext", ddim(2, 0.5))],
)
def test_an_edit_in_bfloat16_is_the_float32_one(name: str, recipe: str, schedule: Schedule) -> None:
    """A short one, of a scene of 128 px. (Scene 1000000, whole, on embedded-flux: 75 dB; in float16 95.)"""
    case = make_case(1_000_000, "move", 128)
    assert case is not None

    def short(r: Any, _: Any) -> Any:
        tap, first = ("up.1", "attn.6") if name == "embedded-sd" else ("double.1", "double.1")
        few = {"taps": (FeatureTap(tap),), "kv_blocks": (first,)}
        return replace(r, schedule=schedule, ramp=((0.5, 1.0),), **few)

    pictures = []
    for dtype in ("float32", "bfloat16"):
        model = replace(load_model(name, dtype=dtype), name="another")  # without the preset's long schedule
        pictures.append(run_task(model, case.source[None], case.task, recipe=recipe, change=short)[1][0])
    assert psnr(*pictures) >= 30 and not torch.equal(*pictures)


def test_unknown_dtype_in_the_library() -> None:
    with pytest.raises(DragError, match="no dtype 'float8'"):
        load_model("embedded-sd", dtype="float8")

"""What the embedded models' training writes: files that drag_core loads, previews' colours, cards, a log."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from drag_core.backends.load import MODELS, load_model, read_vae
from drag_core.types import DragError
from tools.embedded import preview, run, start, train
from tools.embedded.autoencoder import Autoencoder, begin, equivariance
from tools.embedded.card_text import card
from tools.embedded.export import FILES, PATHS, write, write_autoencoder, write_denoiser
from tools.embedded.mix import numbers
from tools.embedded.models import FluxVelocity, UNetNoise
from tools.embedded.photos import HELD, TRAINED, read_photos

CPU = torch.device("cpu")
Z = torch.randn(1, 16, 8, 8, generator=numbers(0, 5))
TIMES = {"unet": (UNetNoise, 500.0, torch.tensor([500])), "flux": (FluxVelocity, 0.4, torch.tensor([0.4]))}


@cache
def network(name: str) -> Any:
    """A denoiser with no weight at zero that the start would leave there, and every weight a half."""
    net = start.denoiser(name, None)
    torch.manual_seed(7)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.02 * torch.randn_like(p)).copy_(p.half())
    return net


def bound(name: str, net: nn.Module) -> Tensor:
    wrap, _, t = TIMES[name]
    with torch.no_grad():
        return wrap(net.eval())(Z, t)


@pytest.mark.parametrize("name", ["unet", "flux"])
def test_a_denoiser_is_the_same_network_in_drag_core(name: str, tmp_path: Path) -> None:
    net = network(name)
    write_denoiser(tmp_path, name, net, 48)
    path = tmp_path / FILES[name]
    model = load_model(str(path))
    assert torch.equal(model.backbone.predict(Z, TIMES[name][1]), bound(name, net))
    with safe_open(path, framework="pt") as f:
        facts = json.loads(f.metadata()["drag"])
    assert facts["samples"] == 48 and facts["text_width"] == 32
    again = start.denoiser(name, tmp_path).state_dict()
    assert all(torch.equal(v, again[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize("name", ["unet", "flux"])
def test_what_is_trained_is_what_drag_core_runs(name: str) -> None:
    """The shipped weights, to the last bit: conditioning, packing and times are bound here as there."""
    backbone: Any = load_model("embedded-sd" if name == "unet" else "embedded-flux").backbone
    assert torch.equal(backbone.predict(Z, TIMES[name][1]), bound(name, start.denoiser(name, MODELS)))


@pytest.mark.parametrize("name", ["unet", "flux"])
def test_a_denoiser_from_nothing_starts_without_branches(name: str) -> None:
    net: Any = start.denoiser(name, None)
    assert torch.equal(bound(name, net), torch.zeros_like(Z))  # its last layer is zero
    if name == "flux":
        assert not net.time_text_embed.guidance_embedder.linear_2.weight.any()


@cache
def autoencoder() -> Autoencoder:
    torch.manual_seed(1)
    net = Autoencoder()
    begin(net, preview.lit_scenes(torch.arange(4)).float() / 255)
    return net


def written(folder: Path) -> Autoencoder:
    net = autoencoder()
    write_autoencoder(folder, net.encoder, net.decoder.state_dict(), 0.31, {"steps": 1})
    return net


def test_an_autoencoder_is_the_same_in_drag_core(tmp_path: Path) -> None:
    net = written(tmp_path)
    codec = read_vae(tmp_path / FILES["vae"], "flux")
    x = torch.rand(1, 3, 64, 64, generator=numbers(0, 2))
    with torch.no_grad():
        z = net.encoder(x)
        inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # TAESD pads at every layer
        assert (codec.encode(x) * 0.31 - z)[inner].norm() < 0.01 * z[inner].norm()
        want = (net.decoder(z) / 2 + 0.5).clamp(0, 1)
        assert (codec.decode(z / 0.31) - want).abs().max() < 0.01
    again = start.autoencoder(tmp_path, None)  # type: ignore[arg-type]  # asks no mix
    assert torch.equal(again.encoder.mix.weight, net.encoder.mix.weight)
    for k, v in again.decoder.state_dict().items():
        assert torch.equal(v, net.decoder.state_dict()[k].half().float())


def test_the_files_are_drop_ins_for_those_that_ship(tmp_path: Path) -> None:
    written(tmp_path)
    for name in ("unet", "flux"):
        write_denoiser(tmp_path, name, network(name), 1)
    for name, path in PATHS.items():
        ours, shipped = load_file(tmp_path / FILES[name]), load_file(MODELS / path)
        assert {k: (v.shape, v.dtype) for k, v in ours.items()} == {
            k: (v.shape, v.dtype) for k, v in shipped.items()
        }
        with safe_open(tmp_path / FILES[name], "pt") as a, safe_open(MODELS / path, "pt") as b:
            assert a.metadata().keys() == b.metadata().keys()


def test_weights_that_cannot_ship_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DragError, match="1 weights of a.safetensors are not finite, as y"):
        write(tmp_path / "a.safetensors", {"x": torch.ones(2), "y": torch.tensor([1e6])}, {})
    monkeypatch.setattr("tools.embedded.export.LIMIT", 100)
    with pytest.raises(DragError, match="at most 100 may ship"):
        write(tmp_path / "a.safetensors", {"x": torch.ones(200)}, {})
    with pytest.raises(DragError, match="has no drag_tiny_sd.safetensors: --from takes"):
        start.denoiser("unet", tmp_path)


def test_a_shift_of_whole_cells_is_no_loss() -> None:
    """A constant picture moves onto itself, whatever the encoder; a picture of noise does not."""
    net = autoencoder()
    x = torch.full((1, 3, 128, 128), 0.3)
    z = net.encoder(x)
    flat = float(equivariance(net.encoder, x, z, numbers(0, 1)).detach())
    noise = torch.rand(1, 3, 128, 128, generator=numbers(0, 3))
    loud = float(equivariance(net.encoder, noise, net.encoder(noise), numbers(0, 1)).detach())
    assert flat < 0.01 * loud


def test_without_scikit_image_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(DragError, match="missing: pip install scikit-image"):
        read_photos(TRAINED, CPU)
    monkeypatch.setattr(run, "held_out_pictures", lambda count, device, photos: {"photos": photos})
    data = run.pictures(run.SIZES["tiny"], CPU)
    assert data.mix.photos is None and data.held == {"photos": False}
    assert capsys.readouterr().out.count("Going on without photographs") == 1


def test_photographs_are_those_named_and_none_is_both_trained_and_held() -> None:
    pytest.importorskip("skimage.data", reason="scikit-image is missing: pip install scikit-image")
    assert not TRAINED.keys() & HELD.keys()
    photos = read_photos(TRAINED | HELD, CPU)
    assert [x.shape[:2] for x in photos.images] == [(1, 3)] * 10
    drawn = photos.draw(7, 64, numbers(0, 0))
    assert drawn.shape == (7, 3, 64, 64) and torch.equal(drawn, photos.draw(7, 64, numbers(0, 0)))
    assert 0 <= drawn.min() and drawn.max() <= 1 and float(drawn.std()) > 0.05


def test_colours_of_previews_are_found(tmp_path: Path) -> None:
    z = torch.randn(3, 5, 4, 6, generator=numbers(0, 1))
    true = preview.Colours(torch.randn(5, 3, generator=numbers(0, 2)), torch.tensor([0.1, -0.2, 0.3]))
    found = preview.fit(z, true(z))
    torch.testing.assert_close(found.factors, true.factors)
    torch.testing.assert_close(found.bias, true.bias)
    assert preview.explained(found, z, true(z)) == pytest.approx([1, 1, 1])
    mean = preview.Colours(torch.zeros(5, 3), true(z).mean((0, 2, 3)))
    assert preview.explained(mean, z, true(z)) == pytest.approx([0, 0, 0], abs=1e-5)
    one = preview.Colours(torch.tensor([[1.0, 2, 3]]), torch.tensor([0.5, 0, 0]))
    assert one(torch.full((1, 1, 1, 1), 2.0)).flatten().tolist() == [2.5, 4, 6]
    assert preview.seen(torch.full((1, 3, 16, 8), 0.75)).tolist() == [[[[0.5], [0.5]]] * 3]


def test_previews_are_written_beside_weights_that_stay(tmp_path: Path) -> None:
    written(tmp_path)
    for name in ("unet", "flux"):
        write_denoiser(tmp_path, name, network(name), 3)
    before = {name: load_file(tmp_path / FILES[name]) for name in PATHS}
    shares = preview.fit_files(tmp_path, 4)
    assert set(shares) >= {"lit", "plain"} and all(v > 0.9 for values in shares.values() for v in values)
    for name, weights in before.items():
        after = load_file(tmp_path / FILES[name])
        assert all(torch.equal(v, after[k]) for k, v in weights.items())
        with safe_open(tmp_path / FILES[name], framework="pt") as f:
            facts = json.loads(f.metadata()["drag"])
        assert [len(row) for row in facts["latent_rgb_factors"]] == [3] * 16
        assert len(facts["latent_rgb_factors_bias"]) == 3 and ("steps" in facts or facts["samples"] == 3)
    load_model(str(tmp_path / FILES["unet"]))
    (tmp_path / FILES["linear"]).unlink()  # so that the shipped one is taken, which is another
    with pytest.raises(DragError, match="is not the encoder that"):
        preview.fit_files(tmp_path, 1)


LOG: dict[str, Any] = {
    "about": {"device": "NVIDIA X", "torch": "2", "seconds": 99.6, "arguments": {"given": "models"}},
    "flux": [
        {"s": 1.0, "event": "start"},
        {"s": 2.0, "event": "before", "held_v2": 0.5, "fifths": [0.5, 0.25]},
        *(
            {"s": 3.0 + k, "step": k, "samples": 2 * k, "loss": 0.4, "held_v2": 0.4 - k / 100}
            for k in range(20)
        ),
        {"s": 42.0, "event": "end", "step": 20, "samples": 40, "held_v2": 0.125, "held_photos": 0.75},
    ],
}


def test_a_card_says_what_the_log_says() -> None:
    text = card("flux", LOG, {}, "", "x.png")
    for words in (
        "- steps: 20, 40 samples",
        "- seconds: 40 of the run's 100; hardware: one NVIDIA X",
        "lit scenes 0.1250, photographs 0.7500",
        "- started from the weights in models",
        "but coffee and rocket, which are held out",
        "are no pictures",
        "knows photographs a little",
        "![](x.png)",
    ):
        assert words in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1 and 10 <= len(rows) <= 12
    assert rows[2].startswith("| 2 |") and rows[-1].startswith("| 42 | 20 | 40 |")
    named = LOG | {"about": LOG["about"] | {"photographs": ["brick"]}}
    assert "brick (CC0); held out: coffee and rocket" in card("flux", named, {}, "", "x.png")


def test_a_run_is_begun_once_and_resumed_as_it_was_asked_for(tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit, match="holds no stopped run"):
        train.main([*out, "--resume"])
    plan = train.planned(train.arguments([*out, "--device", "cpu", "--seconds", "60", "--rate", "0.5"]))
    assert plan == train.Plan("cpu", "cpu", 60.0, None, None, 0.5)
    assert train.planned(train.arguments([*out, "--resume"])) == plan
    with pytest.raises(SystemExit, match="already holds a run: go on with --resume"):
        train.main(out)
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit, match="no CUDA device: train with --device cpu"):
            train.main(["--out", str(tmp_path / "other"), "--device", "cuda"])
    clock = train.Clock(10.0, train.time.monotonic())
    assert train.budget(plan, "flux", clock).seconds == pytest.approx(50, abs=1)
    assert train.budget(plan, "unet", clock).seconds == pytest.approx(25, abs=1)


def test_the_whole_way_stopped_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes, three trainings of one step, files, log; stopped before FLUX."""
    monkeypatch.setitem(run.SIZES, "tiny", run.Size(1, 1, 64, 2, 2, 2, 1, 1, 1))
    out, whole = tmp_path / "run", train.train_denoiser

    def stopped(name: str, *rest: Any) -> Any:
        if name == "flux":
            raise KeyboardInterrupt
        return whole(name, *rest)

    monkeypatch.setattr(train, "train_denoiser", stopped)
    with pytest.raises(SystemExit, match="--resume it goes on"):
        train.main(["--out", str(out), "--device", "cpu", "--size", "tiny", "--steps", "1"])
    kept = (out / "unet.pt").stat().st_mtime
    monkeypatch.setattr(train, "train_denoiser", whole)
    train.main(["--out", str(out), "--resume"])
    log = json.loads((out / train.LOG).read_text())
    assert [log[n][-1]["step"] for n in ("vae", "unet", "flux")] == [1, 1, 1]
    assert log["about"]["arguments"]["size"] == "tiny" and log["flux"][-1]["samples"] == 1
    assert all((out / f).exists() for f in FILES.values())
    assert (out / "unet.pt").stat().st_mtime >= kept
    load_model(str(out / FILES["flux"]), vae=out / FILES["vae"])

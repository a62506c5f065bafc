"""The diffusers backbone here and the ComfyUI backbone in a real host, on the same embedded weights: the same
features, the same drag, and the same with a LoRA's file.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from drag_core.backends.identity import ATTENTION, applied
from drag_core.backends.load import Model, load_model
from drag_core.bench.scenes import HELD_OUT, render, sample_scene
from drag_core.lora import LoRA, low_rank, save_lora
from tests.host.parity_probe import DRAGS, LEVEL, MODELS, taps, whole_drag
from tests.host.place import COMFYUI, PYTHON, environment

SECONDS = 600
CASES = [(name, case) for name in MODELS for case in DRAGS[name]]
model = cache(load_model)


@cache
def latent(name: str) -> Tensor:
    m: Model = model(name)
    with torch.no_grad():
        return m.codec.encode(render(sample_scene(HELD_OUT + 900))[None])


def a_lora(name: str) -> LoRA:
    """Of all layers that a training adapts, random."""
    draw = torch.Generator().manual_seed(0)
    pairs = {}
    for path, m in model(name).backbone.net.named_modules():  # type: ignore[attr-defined]
        if re.fullmatch(ATTENTION, path):
            down, up = low_rank(4, m.in_features, m.out_features, draw)
            pairs[path] = (down, up + 0.05 * torch.randn(up.shape, generator=draw))
    return LoRA(pairs)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """What the host's own Python computed."""
    folder = tmp_path_factory.mktemp("parity")
    np.savez(folder / "inputs.npz", **{name: latent(name).numpy() for name in MODELS})
    for name in MODELS:
        save_lora(a_lora(name), folder / f"{name}.safetensors", split=name == "embedded-flux")
    files = [str(folder / "inputs.npz"), str(folder / "arrays.npz")]
    probe = Path(__file__).with_name("parity_probe.py")
    done = subprocess.run(
        [str(PYTHON), str(probe), str(COMFYUI), *files],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"the host did not drag:\n{done.stderr[-4000:]}"
    return {k: torch.from_numpy(v) for k, v in np.load(folder / "arrays.npz").items()}


@pytest.mark.parametrize("name", MODELS)
def test_features(name: str, there: dict[str, Tensor]) -> None:
    backbone, z = model(name).backbone, latent(name)
    wanted = taps("drag_core", backbone)
    with torch.no_grad():
        maps, _ = backbone.features(z, LEVEL[name], wanted)
        ours = {f"{name} {t.block} {t.site}": x for t, x in zip(wanted, maps, strict=True)}
        ours[f"{name} prediction"] = backbone.predict(z, LEVEL[name])
    others = {f"{name} {c}" for c in (*DRAGS[name], "with a LoRA")}
    assert set(ours) == {k for k in there if k.startswith(name)} - others
    for key, x in ours.items():
        gap, scale = float((x - there[key]).abs().max()), float(x.abs().max())
        print(f"{key}: {gap:.1e}, largest {scale:.1f}")
        assert x.shape == there[key].shape and gap <= 1e-4 * max(1.0, scale)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_whole_drags(name: str, case: str, there: dict[str, Tensor]) -> None:
    z = latent(name)
    ours = whole_drag("drag_core", model(name).backbone, name, case, z)
    gap, moved = float((ours - there[f"{name} {case}"]).abs().max()), float((ours - z).abs().max())
    print(f"{name}, {case}: {gap:.1e}; the drag changed up to {moved:.1f}")
    assert gap <= 1e-4 and moved > 0.01  # small steps, from a draft


@pytest.mark.parametrize("name", MODELS)
def test_a_lora_file_of_ours_in_the_hosts_own_loader(name: str, there: dict[str, Tensor]) -> None:
    backbone, z = model(name).backbone, latent(name)
    lora = a_lora(name)
    plain = there[f"{name} prediction"]
    with torch.no_grad(), applied(backbone.net, lora):  # type: ignore[attr-defined]
        ours = backbone.predict(z, LEVEL[name])
    gap, changed = (float((x - there[f"{name} with a LoRA"]).abs().max()) for x in (ours, plain))
    print(f"{name}, {len(lora.weights)} layers: {gap:.1e}; the LoRA changed up to {changed:.2f}")
    assert gap <= 1e-5 * max(1.0, float(ours.abs().max())) and changed > 0.01


def test_the_drags_differ(there: dict[str, Tensor]) -> None:
    """K/V and the background's penalty are not lost on the way."""
    for name in MODELS:
        plain, *others = [there[f"{name} {case}"] for case in DRAGS[name]]
        gaps = [float((x - plain).abs().max()) for x in others]
        print(name, gaps)
        assert min(gaps) > 5e-3

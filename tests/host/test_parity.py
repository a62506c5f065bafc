"""The diffusers backbone here and the ComfyUI backbone in a real host, on the same embedded weights: the same
features, and the same drag.
"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from drag_core.backends.load import Model, load_model
from drag_core.bench.scenes import HELD_OUT, render, sample_scene
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


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """What the host's own Python computed."""
    folder = tmp_path_factory.mktemp("parity")
    np.savez(folder / "inputs.npz", **{name: latent(name).numpy() for name in MODELS})
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
    assert set(ours) == {k for k in there if k.startswith(name)} - {f"{name} {c}" for c in DRAGS[name]}
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
    assert gap <= 1e-3 and moved > 0.1


def test_the_drags_differ(there: dict[str, Tensor]) -> None:
    """K/V and the background's penalty are not lost on the way."""
    for name in MODELS:
        plain, *others = [there[f"{name} {case}"] for case in DRAGS[name]]
        gaps = [float((x - plain).abs().max()) for x in others]
        print(name, gaps)
        assert min(gaps) > 5e-3

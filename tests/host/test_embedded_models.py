"""The embedded FLUX and autoencoder in a real ComfyUI: its loaders recognise them, and they compute there
what they compute here.

The host runs in a process of its own (host_probe.py): its folder and this repository on one sys.path would
shadow each other's `nodes` and `tests`. Arrays and facts come back through files.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from drag_core.backends.diffusers_flux import DiffusersFlux
from drag_core.backends.load import EMBEDDED, EMBEDDED_VAE, MODELS, Model, load_model
from drag_core.bench.scenes import HELD_OUT, render, sample_scene
from tests.host.place import COMFYUI, PYTHON, ROOT, environment

SECONDS = 600
TIME = 0.5


@dataclass(frozen=True)
class Host:
    facts: dict[str, Any]
    arrays: dict[str, Tensor]
    model: Model
    z: Tensor
    picture: Tensor


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    folder = tmp_path_factory.mktemp("host")
    model = load_model("embedded-flux")
    picture = render(sample_scene(HELD_OUT + 900))[None]
    z = torch.randn(1, 16, 32, 32, generator=torch.Generator().manual_seed(0))
    assert isinstance(model.backbone, DiffusersFlux) and model.backbone.guidance == 1.0
    text, pooled = model.backbone.text, model.backbone.pooled
    assert text.shape == (1, 1, 32) and pooled.shape == (1, 32) and not text.any() and not pooled.any()
    given = {"z": z, "picture": picture, "text": text, "y": pooled}
    given |= {"t": torch.tensor([TIME]), "guidance": torch.tensor([3.5])}
    np.savez(folder / "inputs.npz", **{k: v.numpy() for k, v in given.items()})
    job = {
        "flux": str(MODELS / EMBEDDED["embedded-flux"]),
        "vae": str(MODELS / EMBEDDED_VAE),
        "inputs": str(folder / "inputs.npz"),
        "arrays": str(folder / "arrays.npz"),
        "facts": str(folder / "facts.json"),
    }
    (folder / "job.json").write_text(json.dumps(job))
    done = subprocess.run(
        [str(PYTHON), str(Path(__file__).with_name("host_probe.py")), str(COMFYUI), str(folder / "job.json")],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"ComfyUI in {COMFYUI} did not run the models:\n{done.stderr[-4000:]}"
    arrays = {k: torch.from_numpy(v) for k, v in np.load(folder / "arrays.npz").items()}
    return Host(json.loads((folder / "facts.json").read_text()), arrays, model, z, picture)


def error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference, as a share of our largest value."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / ours.abs().max())


def test_the_host_does_not_see_this_repository(host: Host) -> None:
    assert str(ROOT) not in host.facts["path"] and host.facts["path"][0] == str(COMFYUI.resolve())


def test_the_host_recognises_the_flux(host: Host) -> None:
    flux = host.facts["flux"]
    assert flux["class"] == "comfy.model_base.Flux" and flux["network"] == "comfy.ldm.flux.model.Flux"
    assert flux["config"] == "comfy.supported_models.Flux"  # FluxSchnell is the one without guidance
    assert flux["latent"] == "Flux" and flux["guidance"] and flux["hidden"] == 256


def test_the_flux_predicts_there_what_it_predicts_here(host: Host) -> None:
    with torch.no_grad():
        ours = host.model.backbone.predict(host.z, TIME)
    errors = {k: error(ours, host.arrays[k]) for k in ("velocity", "wrapped", "own")}
    print("FLUX:", errors, host.facts["flux"])
    assert host.facts["flux"]["dtype"] == "torch.float32"
    assert errors["velocity"] <= 1e-4
    assert errors["wrapped"] <= 1e-3  # x - sigma v and back
    assert (
        errors["own"] <= 5e-2
    )  # in the precision that the host's loader node chooses; bfloat16 on some CPUs


def test_the_host_loads_the_autoencoder(host: Host) -> None:
    vae = host.facts["vae"]
    assert vae["class"] == "comfy.taesd.taesd.TAESD" and vae["channels"] == 16


def test_encoding_there_is_encoding_here(host: Host) -> None:
    ours = host.model.codec.encode(host.picture)
    print("encode:", error(ours, host.arrays["latent"]), host.facts["vae"])
    assert error(ours, host.arrays["latent"]) <= 1e-3


def test_decoding_there_is_decoding_here(host: Host) -> None:
    ours = host.model.codec.decode(host.z)
    print("decode:", error(ours, host.arrays["decoded"]), host.facts["version"])
    assert error(ours, host.arrays["decoded"]) <= 1e-3

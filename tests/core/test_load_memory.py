"""A load takes the file's own memory, once: measured in another process, for a single file and a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from safetensors.torch import save_file

from drag_core.backends import keys
from tests.core.test_backends import save_with_vae

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(),
    reason="peak memory is read from /proc: run this test on Linux",
)
MOST = 1.15  # times the file

MEASURE = """
import sys
from pathlib import Path
import diffusers, torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from drag_core.backends import folder, load, single_file
from drag_core.backends.load import load_model

def now(name):
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(rows[name].split()[0]) * 1024

path, text, dtype = sys.argv[1:]
torch.set_num_threads(1)
before = now("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
model = load_model(path, text=Path(text), dtype=dtype)
for net in (model.backbone.net, model.codec.vae):
    for p in net.parameters():
        p.view(-1).view(torch.uint8)[::4096].sum()  # every page has been read
wrong = sum(p.isnan().any() for p in model.backbone.net.parameters())
print(now("VmHWM") - before, str(model.backbone.net.dtype), int(wrong))
"""


def measured(path: Path, text: Path, dtype: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), str(text), dtype],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    peak, kept, wrong = done.stdout.split()
    assert kept == f"torch.{dtype}" and wrong == "0"
    return int(peak)


def network(dtype: torch.dtype) -> FluxTransformer2DModel:
    """A FLUX of 0.37 GB in 16 bit."""
    with torch.device("meta"):
        net = FluxTransformer2DModel(
            in_channels=16, num_layers=3, num_single_layers=4, attention_head_dim=128, num_attention_heads=8,
            joint_attention_dim=64, pooled_projection_dim=64,
        )  # fmt: skip
    net = net.to(dtype).to_empty(device="cpu")
    for p in net.parameters():
        p.data.fill_(0.01)
    return net.requires_grad_(False)


def words(path: Path) -> Path:
    save_file({"prompt_embeds": torch.zeros(1, 3, 64), "pooled_prompt_embeds": torch.zeros(1, 64)}, path)
    return path


def size(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*.safetensors")
    return sum(f.stat().st_size for f in files)


def test_a_single_file(tmp_path: Path) -> None:
    path, text = tmp_path / "flux.safetensors", words(tmp_path / "text.safetensors")
    save_with_vae(keys.flux_to_original(network(torch.float16).state_dict(), 3, 4), path)
    assert size(path) > 3e8
    peak = measured(path, text, "float16")
    assert peak <= MOST * size(path), f"{peak / size(path):.2f} times the file"
    # in another precision it is there beside the file's own pages, which the system may drop at any time
    peak = measured(path, text, "float32")
    assert peak <= (2 + MOST) * size(path), f"{peak / size(path):.2f} times the file"


def test_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="reads a folder without a second copy: pip install accelerate")
    text = words(tmp_path / "text.safetensors")
    path = tmp_path / "model"
    network(torch.bfloat16).save_pretrained(path / "transformer", max_shard_size="150MB")
    AutoencoderKL(block_out_channels=(32,), latent_channels=4).bfloat16().save_pretrained(path / "vae")
    (path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    assert size(path) > 3e8
    peak = measured(path, text, "bfloat16")
    assert peak <= MOST * size(path), f"{peak / size(path):.2f} times the files"

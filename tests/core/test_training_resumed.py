"""The real trainings, stopped half-way and gone on with from their checkpoint: the same bits on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from torch import Tensor, nn

from tools.embedded import autoencoder, denoiser, loop, stage
from tools.embedded.codec import LinearEncoder
from tools.embedded.loop import Progress, Training
from tools.embedded.mix import Mix, bank, numbers
from tools.embedded.models import LATENT, TEXT
from tools.embedded.photos import Photos
from tools.embedded.pool import lit_scenes, plain_scenes
from tools.embedded.run import Pictures, Size

CPU = torch.device("cpu")
SIZE = Size(batch=2, crops=2, crop=64, lit=3, first=2, plain=2, chunk=1, every=2, held=1)


def data() -> Pictures:
    photos = Photos((torch.rand(1, 3, 300, 300, generator=numbers(0, 9)),))
    mix = Mix(
        bank(lit_scenes, 3, CPU), bank(plain_scenes, 2, CPU), photos, SIZE.first, SIZE.chunk, SIZE.every
    )
    return Pictures(CPU, mix, {"lit": torch.rand(1, 3, 64, 64, generator=numbers(0, 8))})


def an_autoencoder() -> Training:
    torch.manual_seed(0)
    return autoencoder.training(autoencoder.Autoencoder(), data(), SIZE)


def encode() -> Callable[[Tensor], Tensor]:
    torch.manual_seed(1)
    return LinearEncoder().requires_grad_(False)


def a_unet() -> Training:
    torch.manual_seed(0)
    net = UNet2DConditionModel(
        in_channels=LATENT,
        out_channels=LATENT,
        layers_per_block=1,
        block_out_channels=(32, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT,
        attention_head_dim=1,
    )
    return denoiser.training("unet", net, encode(), data(), SIZE)


def a_flux() -> Training:
    torch.manual_seed(0)
    net = FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * LATENT,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=TEXT,
        pooled_projection_dim=TEXT,
        guidance_embeds=True,
        axes_dims_rope=(8, 12, 12),
    )
    return denoiser.training("flux", net, encode(), data(), SIZE)


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


@pytest.mark.parametrize("make", [an_autoencoder, a_unet, a_flux])
def test_six_steps_are_three_and_three(make: Callable[[], Training], tmp_path: Path) -> None:
    through, stopped, resumed = make(), make(), make()
    begun = weights(through.net)
    end = loop.fit(through, Progress(0, 6), 6, lambda p: p)
    loop.save(tmp_path / "x.pt", loop.state_of(stopped, loop.fit(stopped, Progress(0, 6), 3, lambda p: p)))
    half = loop.restore(resumed, loop.read(tmp_path / "x.pt"))
    assert half.step == 3 and loop.fit(resumed, half, 6, lambda p: p) == end
    for a, b in ((through.net, resumed.net), (through.mean, resumed.mean)):
        assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())
    moved = {k for k, v in weights(through.net).items() if not torch.equal(v, begun[k])}
    assert moved and moved == {k for k, p in weights(resumed.net).items() if not torch.equal(p, begun[k])}
    assert through.measure() == resumed.measure() != make().measure()


def test_counting_out_the_steps_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "TIMED", 3)
    plain, timed = a_flux(), a_flux()
    assert stage.seconds_a_step(timed) > 0
    ends = [loop.fit(t, Progress(0, 4), 4, lambda p: p) for t in (plain, timed)]
    assert ends[0] == ends[1]
    assert all(torch.equal(v, timed.net.state_dict()[k]) for k, v in plain.net.state_dict().items())


def test_the_bank_of_filters_is_frozen_on_the_way() -> None:
    """After 0.3 of the steps: it learns in the first two of six and in none of the rest."""
    t = an_autoencoder()
    net = t.net
    assert isinstance(net, autoencoder.Autoencoder)
    seen = [weights(net.encoder)]
    for step in range(4):
        loop.fit(t, Progress(step, 6), step + 1, lambda p: p)
        seen.append(weights(net.encoder))
    same = [torch.equal(a["mix.weight"], b["mix.weight"]) for a, b in zip(seen, seen[1:], strict=False)]
    assert same == [False, False, True, True]

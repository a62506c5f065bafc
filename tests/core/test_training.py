"""The parts of the embedded models' training: orthogonal steps, running means, rates, and stopped runs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drag_core.bench.scenes import HELD_OUT
from drag_core.types import DragError
from tools.embedded import loop
from tools.embedded.loop import Progress, Rate, Training
from tools.embedded.mix import WHOLE, Bank, Mix, bank, cut, numbers
from tools.embedded.models import is_inner, out_of_reach, tiny_flux, tiny_unet
from tools.embedded.muon import Muon, fused, orthogonal
from tools.embedded.photos import Photos
from tools.embedded.pool import ALONE, plain_scenes, refuse_held_out, training_seeds

CPU = torch.device("cpu")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 24, 24), (2, 16, 40), (2, 40, 16), (1, 5, 1)])
def test_orthogonal_keeps_singular_vectors_and_brings_values_near_one(shape: tuple[int, ...]) -> None:
    g = drawn(*shape) * torch.tensor(3.0)
    u, before, vh = torch.linalg.svd(g, full_matrices=False)
    core = u.mT @ orthogonal(g) @ vh.mT
    values = core.diagonal(dim1=1, dim2=2)
    assert (core - torch.diag_embed(values)).abs().max() < 1e-3
    strong = before > 0.1 * before[:, :1]  # five steps do not reach the weakest
    assert values[strong].min() > 0.6 and values[strong].max() < 1.25
    assert torch.equal(orthogonal(torch.zeros(1, 4, 4)), torch.zeros(1, 4, 4))


def test_a_step_of_muon_by_hand() -> None:
    """From rest: the momentum is .05 g and what is looked at .95·.05 g + .05 g, whose direction is g's."""
    p = nn.Parameter(torch.ones(4, 2))
    p.grad = torch.tensor([[3.0, 0], [0, 3], [0, 0], [0, 0]])
    Muon([p], lr=0.1, weight_decay=0.5).step()
    one = float(orthogonal(torch.tensor([[[1.0, 0], [0, 1], [0, 0], [0, 0]]]))[0, 0, 0])
    want = torch.full((4, 2), 1 - 0.1 * 0.5)
    want[0, 0] -= 0.1 * 0.2 * 4**0.5 * one
    want[1, 1] -= 0.1 * 0.2 * 4**0.5 * one
    torch.testing.assert_close(p.detach(), want)


def test_fused_matrices_are_made_orthogonal_one_by_one() -> None:
    whole = nn.Parameter(drawn(12, 4))
    parts = [nn.Parameter(x.clone()) for x in whole.detach().chunk(3)]
    gradient = drawn(12, 4, seed=1) * torch.tensor([1.0, 10.0, 100.0]).repeat_interleave(4)[:, None]
    whole.grad = gradient
    for p, g in zip(parts, gradient.chunk(3), strict=True):
        p.grad = g
    Muon([whole], lr=0.1, width=4).step()
    Muon(parts, lr=0.1).step()
    torch.testing.assert_close(whole.detach(), torch.cat([p.detach() for p in parts]))
    convolution, tall, wide = torch.zeros(8, 2, 1, 2), torch.zeros(12, 4), torch.zeros(4, 12)
    assert [fused(x, 4) for x in (convolution, tall, wide)] == [2, 3, 1] and fused(tall, None) == 1


def test_a_running_mean_by_hand() -> None:
    mean, now = [torch.tensor([1.0])], [torch.tensor([3.0])]
    loop.follow(mean, now, 0.9, 1)  # (1 + 1) / (10 + 1) = 2/11 kept
    torch.testing.assert_close(mean[0], torch.tensor([1 * 2 / 11 + 3 * 9 / 11]))
    mean = [torch.tensor([1.0])]
    loop.follow(mean, now, 0.9, 1000)
    torch.testing.assert_close(mean[0], torch.tensor([1.2]))


def test_rates_by_hand() -> None:
    rate = Rate(peak=2.0, warm=4, fall=0.5, least=0.25)
    assert [rate.at(step, 20) for step in (0, 1, 3, 10, 15, 19)] == pytest.approx(
        [0.75, 1.25, 2.25, 2.25, 1.25, 0.45]
    )
    early = Rate(peak=2.0, warm=1, fall=1.0, least=0.0, until=0.5)
    assert [early.at(step, 20) for step in (0, 5, 10, 15)] == pytest.approx([2.0, 1.0, 0.0, 0.0])


def test_training_seeds_never_repeat_and_none_is_held_out() -> None:
    seeds = training_seeds(0, HELD_OUT)
    assert int(seeds.max()) < HELD_OUT and len(seeds.unique()) == HELD_OUT
    assert torch.equal(training_seeds(70, 3), seeds[70:73])


def test_held_out_seeds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_held_out(torch.tensor([HELD_OUT - 1]))
    refuse_held_out(torch.tensor([]))
    with pytest.raises(DragError, match="seed 1000000 is held out"):
        refuse_held_out(torch.tensor([3, HELD_OUT]))
    monkeypatch.setattr("tools.embedded.mix.training_seeds", lambda first, n: torch.full((n,), HELD_OUT))
    with pytest.raises(DragError, match="held out for measuring"):
        bank(coloured, 4, CPU).fill_to(1)


def coloured(seeds: Tensor) -> Tensor:
    """Scenes that say their seed in their colour."""
    return (seeds % 251).byte()[:, None, None, None].expand(-1, 3, 256, 256)


def test_a_bank_holds_the_latest_however_it_came_there() -> None:
    steadily, at_once = bank(coloured, 5, CPU), bank(coloured, 5, CPU)
    for total in (2, 3, 7, 7, 13):
        steadily.fill_to(total)
    at_once.fill_to(13)
    assert torch.equal(steadily.pictures, at_once.pictures) and steadily.drawn == at_once.drawn == 13
    held = sorted(at_once.pictures[:, 0, 0, 0].tolist())
    assert held == sorted((training_seeds(8, 5) % 251).tolist())


def test_plain_scenes_are_the_same_from_other_processes() -> None:
    seeds = torch.arange(ALONE + 1)
    assert torch.equal(plain_scenes(seeds, 2)[-2:], plain_scenes(seeds[-2:]))


def small_mix(photos: bool = True) -> Mix:
    images = (torch.rand(1, 3, 300, 340, generator=numbers(1, 1)),)
    return Mix(bank(coloured, 8, CPU), bank(coloured, 4, CPU), Photos(images) if photos else None, 6, 2, 3)


def test_shares_of_a_batch() -> None:
    assert small_mix().counts(256, WHOLE) == (174, 64, 18) and sum(small_mix().counts(2, WHOLE)) == 2
    assert small_mix(photos=False).counts(256, WHOLE) == (187, 69, 0)


def test_a_batch_depends_on_its_step_alone() -> None:
    one, other = small_mix(), small_mix()
    for step in range(7):
        one.at(step)
    other.at(6)
    assert one.lit.drawn == other.lit.drawn == 10
    batches = [m.batch(30, WHOLE, side, numbers(4, 6)) for m in (one, other) for side in (256, 64)]
    assert torch.equal(batches[0], batches[2]) and torch.equal(batches[1], batches[3])
    assert batches[1].shape == (30, 3, 64, 64) and 0 <= batches[1].min() and batches[1].max() <= 1
    assert not torch.equal(batches[0], one.batch(30, WHOLE, 256, numbers(4, 7)))


def test_a_crop_is_a_part_of_its_picture() -> None:
    x = torch.arange(2 * 3 * 8 * 8).reshape(2, 3, 8, 8)
    out = cut(x, 3, numbers(0, 0))
    for picture, crop in zip(x, out, strict=True):
        corner = int(crop[0, 0, 0]) - int(picture[0, 0, 0])
        y, c = divmod(corner, 8)
        assert torch.equal(crop, picture[:, y : y + 3, c : c + 3])


@pytest.mark.parametrize(("name", "net"), [("unet", tiny_unet()), ("flux", tiny_flux())])
def test_what_stays_as_it_is_has_no_gradient(name: str, net: Any) -> None:
    """All that `out_of_reach` names (but FLUX's mute guidance) gets none; all else that is inner gets one."""
    from tools.embedded.models import FluxVelocity, UNetNoise

    t = torch.tensor([300]) if name == "unet" else torch.tensor([0.3])
    bound = UNetNoise(net) if name == "unet" else FluxVelocity(net)
    bound(drawn(1, 16, 8, 8), t).square().mean().backward()
    reached = {k: p.grad is not None and bool(p.grad.any()) for k, p in net.named_parameters()}
    frozen = [k for k in reached if out_of_reach(name, k)]
    assert frozen and (name == "flux" or not any(reached[k] for k in frozen))
    inner = [k for k, p in net.named_parameters() if is_inner(name, k, p) and k not in frozen]
    assert len(inner) > 20 and all(reached[k] for k in inner)


def small_training() -> Training:
    """A network of all kinds of parameters, trained by both optimisers on noise of the step's own numbers."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 8, 3, padding=1))
    mean = copy.deepcopy(net)
    inner, rest = [net[2].weight], [p for k, p in net.named_parameters() if k != "2.weight"]

    def loss(step: int, steps: int) -> Tensor:
        x = torch.randn(2, 2, 6, 6, generator=numbers(9, step))
        return (net(x) - 1).square().mean()

    adam, rates = torch.optim.AdamW(rest, 1.0), (Rate(1e-2, 2, 0.5, 0.0), Rate(2e-2, 3, 0.5, 0.0))
    return Training("small", net, net, mean, 0.9, (adam, Muon(inner, 1.0)), rates, loss, dict, 2, "samples")


def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    through = small_training()
    end = loop.fit(through, Progress(0, 6), 6, lambda p: p)
    first = small_training()
    half = loop.fit(first, Progress(0, 6), 3, lambda p: p)
    loop.save(tmp_path / "x.pt", loop.state_of(first, half))
    second = small_training()
    for p in second.net.parameters():
        nn.init.zeros_(p)
    again = loop.fit(second, loop.restore(second, loop.read(tmp_path / "x.pt")), 6, lambda p: p)
    assert again == end and end.step == 6
    for a, b in ((through.net, second.net), (through.mean, second.mean)):
        assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())
    assert not torch.equal(first.net[0].weight, second.net[0].weight)  # type: ignore[index]


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    t = small_training()
    with torch.no_grad():
        next(t.net.parameters()).fill_(float("nan"))
    with pytest.raises(DragError, match="the loss of small is nan at step 0"):
        loop.fit(t, Progress(0, 6), 6, lambda p: p)


def test_bank_is_a_ring() -> None:
    ring = Bank(coloured, torch.zeros(3, 3, 256, 256, dtype=torch.uint8), 2)
    ring.fill_to(2)
    assert ring.some(50, numbers(0, 0)).unique().tolist() == sorted((training_seeds(0, 2) % 251).tolist())

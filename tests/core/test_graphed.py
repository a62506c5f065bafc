"""Recorded passes, rehearsed on the CPU: the same bits as the pass itself, nothing baked in unseen, and what
fails falls back.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drag_core.backends.graphed import Graphs
from drag_core.backends.recorders import Rehearsal, Tensors


class Net(nn.Module):
    """Two maps of a latent at a level; both depend on the level."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 6, 3, padding=1)
        self.requires_grad_(False)
        self.runs = 0

    def forward(self, x: Tensor, t: Tensor) -> Tensors:
        self.runs += 1
        a = torch.tanh(self.first(x) * torch.cos(t / 100)[:, None, None, None])
        return a, self.second(a + torch.log(t))


def given(seed: int, t: float, gradient: bool = True) -> tuple[Tensor, Tensor]:
    x = torch.randn(1, 4, 9, 7, generator=torch.Generator().manual_seed(seed))
    return x.requires_grad_(gradient), torch.tensor([t])


def slope(maps: Tensors, x: Tensor, k: int) -> Tensor:
    """A loss that changes from update to update."""
    loss = sum((k + i + 1) * m.abs().mean() for i, m in enumerate(maps))
    return torch.autograd.grad(loss, x)[0]


UPDATES = [(k, t) for k, t in enumerate((700.0, 700.0, 700.0, 700.0, 420.0, 60.0, 1.0))]


def test_updates_have_the_same_bits() -> None:
    net, recorder = Net(), Rehearsal()
    graphs = Graphs(recorder)
    for k, t in UPDATES:
        x, at = given(k, t)
        maps, want = graphs("features", t, net, x, at), net(x, at)
        assert all(map(torch.equal, maps, want))
        assert torch.equal(slope(maps, x, k), slope(want, x, k))
    assert recorder.recorded == 2 and graphs.replays == len(UPDATES) - 1 and not graphs.off


def test_passes_without_gradient_have_the_same_bits_and_results_of_their_own() -> None:
    net, graphs = Net(), Graphs(Rehearsal())
    kept = []
    with torch.no_grad():
        for k, t in UPDATES:
            x, at = given(k, t, False)
            kept.append((graphs("features", t, net, x, at), net(x, at)))
    assert graphs.replays
    for maps, want in kept:  # a later replay does not reach what an earlier one gave
        assert all(map(torch.equal, maps, want)) and not maps[0].requires_grad


def test_every_kind_and_shape_is_recorded_by_itself() -> None:
    net, recorder = Net(), Rehearsal()
    graphs = Graphs(recorder, patience=(0, 0))
    x, at = given(0, 5.0)
    wide = torch.randn(1, 4, 9, 14)
    graphs("a", 0, net, x, at)
    with torch.no_grad():
        graphs("a", 0, net, x, at)
        graphs("b", 0, lambda x, t: net(x, t)[:1], x, at)
        (one,) = graphs("b", 0, lambda x, t: net(x, t)[:1], wide, at)
        assert torch.equal(one, net(wide, at)[0])
    assert len(graphs.passes) == 4 and recorder.recorded == 5  # one has a backward


def test_what_another_replay_overwrote_is_made_again() -> None:
    net, graphs = Net(), Graphs(Rehearsal(), patience=(0, 0))
    x, y = given(1, 300.0), given(2, 20.0)
    first, second = graphs("a", 0, net, *x), graphs("a", 0, net, *y)
    assert torch.equal(slope(first, x[0], 3), slope(net(*x), x[0], 3))
    assert torch.equal(slope(second, y[0], 4), slope(net(*y), y[0], 4))


def test_a_map_that_no_loss_uses() -> None:
    net, graphs = Net(), Graphs(Rehearsal(), patience=(0, 0))
    x, at = given(1, 300.0)
    maps = graphs("a", 0, net, x, at)
    assert torch.equal(slope(maps[:1], x, 0), slope(net(x, at)[:1], x, 0))


def test_a_level_from_elsewhere_than_the_inputs_is_found_out() -> None:
    """As the host's own levels, were they made from a number of Python's in the pass."""
    net, recorder = Net(), Rehearsal()
    graphs = Graphs(recorder)
    for k, t in UPDATES:
        x, at = given(k, t)

        def work(x: Tensor, at: Tensor, t: float = t) -> Tensors:
            return net(x, torch.full_like(at, t))

        maps = graphs("a", t, work, x, at)
        assert torch.equal(slope(maps, x, k), slope(net(x, at), x, k))
    assert "off by" in graphs.off and graphs.replays == 3 and not recorder.tapes


@pytest.mark.parametrize("broken", [1.0, float("nan")])
def test_float16_and_numbers_that_are_none(broken: float) -> None:
    """A gradient that would not fit, and a latent that is lost already, are no fault of the recording."""
    graphs = Graphs(Rehearsal(), patience=(0, 0))

    def work(x: Tensor, t: Tensor) -> Tensors:
        return (x.half() * 200 * broken,)

    maps = graphs("a", 0, work, *given(0, 5.0))
    assert maps[0].dtype == torch.float16 and not graphs.off and graphs.replays == 1


def test_what_waits_for_the_device_is_found_out_before_recording() -> None:
    net, recorder = Net(), Rehearsal()
    graphs = Graphs(recorder)
    for k, t in UPDATES:
        x, at = given(k, t)
        maps = graphs("a", t, lambda x, at: net(x, at) if float(at) else (), x, at)
        assert torch.equal(maps[0], net(x, at)[0])
    assert "waits for the device" in graphs.off and not recorder.recorded


class Refusing(Rehearsal):
    """Fails at the `which`-th recording."""

    def __init__(self, which: int, error: BaseException) -> None:
        super().__init__()
        self.which, self.error = which, error

    def record(self, work: Any) -> Any:
        if self.recorded == self.which:
            raise self.error
        return super().record(work)


@pytest.mark.parametrize("which", [0, 1])
def test_a_recording_that_fails_leaves_the_pass_as_it_is(which: int) -> None:
    net, recorder = Net(), Refusing(which, RuntimeError("operation not permitted\nCompile with"))
    graphs = Graphs(recorder)
    for k, t in UPDATES:
        x, at = given(k, t)
        assert torch.equal(slope(graphs("a", 0, net, x, at), x, k), slope(net(x, at), x, k))
    assert graphs.off == "RuntimeError: operation not permitted" and not recorder.tapes
    assert not graphs.replays and "in record" in graphs.trace


def test_what_is_no_error_passes_through() -> None:
    """As an interrupt of a host's."""
    graphs = Graphs(Refusing(0, KeyboardInterrupt()), patience=(0, 0))
    with pytest.raises(KeyboardInterrupt):
        graphs("a", 0, Net(), *given(0, 5.0))
    assert not graphs.passes and not graphs.off


def test_a_backward_after_the_end_runs_the_pass_as_it_is() -> None:
    net, graphs = Net(), Graphs(Rehearsal(), patience=(0, 0))
    x, at = given(1, 300.0)
    maps = graphs("a", 0, net, x, at)
    graphs.close()
    assert torch.equal(slope(maps, x, 2), slope(net(x, at), x, 2))
    assert torch.equal(graphs("a", 0, net, x, at)[0], net(x, at)[0])


def test_refused_before_anything_is_recorded() -> None:
    recorder = Rehearsal()
    asked: list[bool] = []

    def refused(_: Tensors, gradient: bool) -> str:
        asked.append(gradient)
        return "no room"

    graphs = Graphs(recorder, refused)
    for k, t in UPDATES:
        graphs("a", 0, Net(), *given(k, t))
    assert graphs.off == "no room" and asked == [True] and not recorder.warmed

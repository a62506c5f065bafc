"""The order of what CudaRecorder asks of torch, with a card played; what the rehearsal refuses to note."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from drag_core.backends.recorders import CudaRecorder, Rehearsal

CARD = torch.device("cuda", 0)


class Card:
    """What of torch.cuda is asked, in order."""

    def __init__(self, breaks: bool) -> None:
        self.asked: list[Any] = []
        self.breaks, self.noise = breaks, torch.Generator()
        card = self

        class Stream:
            def __init__(self, *args: Any) -> None: ...
            def wait_stream(self, other: Any) -> None: ...

        class CUDAGraph:
            def capture_begin(self, **kw: Any) -> None:
                card.asked.append(("begin", kw["pool"], kw["capture_error_mode"], gc.isenabled()))

            def capture_end(self) -> None:
                card.asked.append("end")
                if card.breaks:
                    raise RuntimeError("invalidated")

            def replay(self) -> None:
                card.asked.append("replay")

            def reset(self) -> None:
                card.asked.append("reset")

        self.Stream, self.CUDAGraph = Stream, CUDAGraph

    @contextmanager
    def stream(self, _: Any) -> Iterator[None]:
        self.asked.append("aside")
        try:
            yield
        finally:
            self.asked.append("back")


@pytest.fixture(params=[False, True], ids=["ends", "breaks"])
def card(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Card:
    out = Card(request.param)

    def say(name: str) -> Callable[..., None]:
        return lambda *args: out.asked.append((name, *args))

    parts = {
        "Stream": out.Stream, "CUDAGraph": out.CUDAGraph, "stream": out.stream,
        "graph_pool_handle": lambda: (0, 7), "current_stream": lambda device: out.Stream(),
        "synchronize": lambda device=None: None, "empty_cache": lambda: None,
        "get_sync_debug_mode": lambda: 0, "set_sync_debug_mode": say("waits"),
        "default_generators": (out.noise,),
    }  # fmt: skip
    for name, part in parts.items():
        monkeypatch.setattr(torch.cuda, name, part)
    for name in ("_cuda_endAllocateToPool", "_cuda_releasePool"):
        monkeypatch.setattr(torch._C, name, say(name), raising=False)
    return out


def work() -> tuple[Tensor, ...]:
    return (torch.ones(2),)


def test_a_recording_and_its_replay(card: Card) -> None:
    card.breaks = False
    recorder = CudaRecorder(CARD)
    recorder.warm(work)
    replay, out = recorder.record(work)
    replay()
    recorder.close()
    begin = ("begin", (0, 7), "thread_local", False)
    assert card.asked == [
        "aside", ("waits", "error"), ("waits", 0), "back", "aside", begin, "end", "back", "replay", "reset",
    ]  # fmt: skip
    assert torch.equal(out[0], torch.ones(2)) and gc.isenabled() and not recorder.graphs


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_recording_that_fails_is_left(card: Card, error: BaseException) -> None:
    def bad() -> tuple[Tensor, ...]:
        raise error

    recorder = CudaRecorder(CARD, "relaxed")
    with pytest.raises(type(error)):
        recorder.record(bad)
    assert card.asked[2:4] == ["end", "reset"] and card.asked[-1] == "back"
    assert ("_cuda_endAllocateToPool", 0, (0, 7)) in card.asked
    assert gc.isenabled() and not recorder.graphs


def test_a_warning_pass_that_fails_looks_for_waits_no_longer(card: Card) -> None:
    def bad() -> tuple[Tensor, ...]:
        raise RuntimeError("called a synchronizing CUDA operation")

    with pytest.raises(RuntimeError, match="synchronizing"):
        CudaRecorder(CARD).warm(bad)
    assert ("waits", 0) in card.asked


@pytest.mark.parametrize(
    "what", [lambda x: float(x.sum()), lambda x: x.nonzero(), lambda x: torch.equal(x, x)]
)
def test_the_rehearsal_refuses_what_waits(what: Callable[[Tensor], Any]) -> None:
    x = torch.ones(3)
    with pytest.raises(RuntimeError, match="waits for the device"):
        Rehearsal().warm(lambda: (x, what(x)))


def test_the_rehearsal_refuses_copies_between_devices() -> None:
    x = torch.ones(3)
    with pytest.raises(RuntimeError, match="copies between"):
        Rehearsal().record(lambda: (x.to("meta"),))


def test_the_rehearsal_makes_calls_in_place_and_views_again() -> None:
    x = torch.zeros(2, 3)

    def inner() -> tuple[Tensor, ...]:
        y = x * 2
        y.t()[0] += 5
        return y, y.relu_()

    replay, (y, _) = Rehearsal().record(inner)
    for value in (1.0, -7.0):
        x.fill_(value)
        replay()
        assert torch.equal(y, inner()[0])

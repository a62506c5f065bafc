"""Passes of a network that are recorded once for a set of shapes and replayed, forward and backward apart.

Between the two the loss stays as it is written, so that it may change from update to update. All that changes
between replays is copied into the places of the inputs that were recorded: nothing else may matter.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .recorders import Recorder, Tensors

Pass = Callable[..., Tensors]  # tensors to tensors; of its own it changes nothing
CHECKED = 2  # levels at which a recorded pass is compared
PATIENCE = (4, 1)  # passes of a kind that run as they are first: without gradient, with one
BARS = {torch.float64: 1e-6, torch.float32: 5e-3}  # TF32 may take another algorithm in each pass
BAR = 2e-2


class Turn:
    """Counts the replays that wrote into one pool of memory."""

    def __init__(self) -> None:
        self.count = 0

    def next(self) -> int:
        self.count += 1
        return self.count


class Recorded:
    """One pass at fixed shapes, with its own inputs and results.

    gradient: whether the first input has one; the backward of the pass is then recorded too.
    """

    def __init__(
        self, recorder: Recorder, work: Pass, given: Tensors, gradient: bool, turn: Turn | None = None
    ) -> None:
        self.work, self.gradient, self.turn = work, gradient, turn or Turn()
        self.inputs = tuple(x.detach().clone() for x in given)
        self.inputs[0].requires_grad_(gradient)
        self.open, self.levels = True, set[Hashable]()
        self._live: Tensors = ()
        self.pulls: Tensors = ()
        recorder.warm(self._both)
        self._forward, self.out = recorder.record(self._run)
        if gradient:
            self._backward, self.slope = recorder.record(self._pull)

    def _run(self) -> Tensors:
        with torch.enable_grad() if self.gradient else torch.no_grad():
            self._live = self.work(*self.inputs)
        return tuple(x.detach() for x in self._live)

    def _pull(self) -> Tensors:
        return torch.autograd.grad(self._live, self.inputs[:1], self.pulls)

    def _both(self) -> Tensors:
        out = self._run()
        if not self.gradient:
            return out
        self.pulls = tuple(torch.zeros_like(x) for x in out)
        return (*out, *self._pull())

    def forward(self, given: Tensors) -> int:
        """Replays the pass on `given` and returns its turn."""
        with torch.no_grad():
            for place, x in zip(self.inputs, given, strict=True):
                place.copy_(x)
            self._forward()
        return self.turn.next()

    def backward(self, given: Tensors, turn: int, pulls: Tensors) -> Tensor:
        """Pulls the results of the pass on `given` back to its first input.

        turn: what its forward returned. If anything was replayed since, what it kept may be gone, and it
        runs again.
        """
        if not self.open:
            x = given[0].detach().requires_grad_()
            with torch.enable_grad():
                out = self.work(x, *given[1:])
            return torch.autograd.grad(out, (x,), pulls)[0]
        with torch.no_grad():
            if turn != self.turn.count:
                self.forward(given)
            for place, x in zip(self.pulls, pulls, strict=True):
                place.copy_(x)
            self._backward()
            self.turn.next()  # what was kept is used up
            return self.slope[0].clone()

    def close(self) -> None:
        """Lets go of all memory; a backward that still comes runs the pass as it is."""
        self.open = False
        self._live = self.pulls = self.inputs = self.out = self.slope = ()

    def __call__(self, given: Tensors) -> Tensors:
        if self.gradient:
            return _replay(self, *given)
        self.forward(given)
        return tuple(x.clone() for x in self.out)


class _Replay(torch.autograd.Function):
    """A recorded pass with a gradient for its first input alone."""

    @staticmethod
    def forward(ctx: Any, recorded: Recorded, *given: Tensor) -> Tensors:
        ctx.recorded, ctx.turn = recorded, recorded.forward(given)
        ctx.save_for_backward(*given)
        return tuple(x.clone() for x in recorded.out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *pulls: Tensor) -> tuple[Tensor | None, ...]:
        slope = ctx.recorded.backward(ctx.saved_tensors, ctx.turn, pulls)
        return (None, slope, *(None for _ in ctx.saved_tensors[1:]))


# torch's apply() has no annotations
_replay: Callable[..., Tensors] = _Replay.apply


class Graphs:
    """The recorded passes of one session, by kind and shapes; eager where and as long as there is none.

    patience: how many passes run as they are before one is worth recording, which costs some.
    refused: asked before a recording, (given, whether it has a gradient) -> why there can be none, or "".

    What is recorded is compared with the pass as it is, on inputs other than the recorded ones, before it is
    used, and again at the second level that it comes to. After the first failure all passes of the session
    run as they are, and `off` says why.
    """

    def __init__(
        self,
        recorder: Recorder,
        refused: Callable[[Tensors, bool], str] = lambda given, gradient: "",
        patience: tuple[int, int] = PATIENCE,
    ) -> None:
        self.recorder, self.refused, self.patience = recorder, refused, patience
        self.passes: dict[Hashable, Recorded] = {}
        self.seen: Counter[Hashable] = Counter()
        self.turn, self.replays, self.off = Turn(), 0, ""
        self.trace = ""  # of what came in the way of a recording

    def __call__(self, kind: Hashable, level: Hashable, work: Pass, *given: Tensor) -> Tensors:
        """Returns work(*given), from a replay if there is one for this `kind` of pass and these shapes.

        level: what changes from pass to pass beside the latent, and is in `given`.
        The first of `given` may ask for a gradient.
        """
        gradient = torch.is_grad_enabled() and given[0].requires_grad
        shapes = tuple((x.shape, x.stride(), x.dtype, x.device) for x in given)
        key = (kind, gradient, shapes)
        if not self.off and key not in self.passes:
            self.seen[key] += 1
            if self.seen[key] > self.patience[gradient]:
                self._record(key, work, given, gradient)
        recorded = self.passes.get(key)
        if recorded is not None and recorded.open and len(recorded.levels | {level}) <= CHECKED:
            self._check(recorded, level, work, given)
        if recorded is None or not recorded.open:
            return work(*given)
        self.replays += 1
        return recorded(given)

    def _record(self, key: Hashable, work: Pass, given: Tensors, gradient: bool) -> None:
        if why := self.refused(given, gradient):
            self.stop(why)
            return
        try:
            self.passes[key] = Recorded(self.recorder, work, _others(given), gradient, self.turn)
        except Exception as e:  # whatever stands in the way, the passes themselves need no recording
            self.trace = traceback.format_exc()
            said = str(e).strip().splitlines()  # one line: CUDA's go on about debugging
            self.stop(f"{type(e).__name__}: {said[0] if said else ''}")

    def _check(self, recorded: Recorded, level: Hashable, work: Pass, given: Tensors) -> None:
        if level in recorded.levels:
            return
        recorded.levels.add(level)
        if (error := _compared(recorded, work, given)) is not None:
            self.stop(f"what was recorded is off by {error:.1e}")

    def stop(self, why: str) -> None:
        """All passes run as they are from now on."""
        self.off = self.off or why
        self.close()

    def close(self) -> None:
        """Gives the memory of all recorded passes back."""
        for recorded in self.passes.values():
            recorded.close()
        self.recorder.close()


def _others(given: Tensors) -> Tensors:
    """Makes inputs that a pass takes as well and that have other results."""
    return tuple(0.5 * x.detach() if x.is_floating_point() else x // 2 for x in given)


def _compared(recorded: Recorded, work: Pass, given: Tensors) -> float | None:
    """Returns by how much a replay differs from the pass as it is; None: it is right.

    Waits for the device.
    """
    x = given[0].detach().requires_grad_(recorded.gradient)
    found: list[Tensors] = []
    ways: tuple[Pass, Pass] = (work, lambda *g: recorded(g))
    for run in ways:
        out = run(x, *given[1:])
        slope = torch.autograd.grad(out, (x,), [_pull(y) for y in out]) if recorded.gradient else ()
        found.append((*(y.detach() for y in out), *slope))
    errors = torch.stack([_error(b, a) for a, b in zip(*found, strict=True)])
    bars = errors.new_tensor([BARS.get(a.dtype, BAR) for a in found[0]])
    return None if bool((errors <= bars).all()) else float(errors.max())


def _pull(y: Tensor) -> Tensor:
    """Makes a derivative to pull a result back by: so small that float16 holds what grows of it."""
    y = y.detach()
    return y / (64 * y.abs().amax().clamp(min=1e-3))


def _error(got: Tensor, want: Tensor) -> Tensor:
    got, want = got.double().nan_to_num(), want.double().nan_to_num()  # also a drag that diverges
    off: Tensor = torch.linalg.vector_norm(got - want)
    size: Tensor = torch.linalg.vector_norm(want)
    return off / size.clamp(min=1e-30)

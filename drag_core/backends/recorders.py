"""What records work on a device and replays it: CUDA graphs, and a stand-in where there is no card."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Tensors = tuple[Tensor, ...]
Work = Callable[[], Tensors]
WAITS = ("_local_scalar_dense", "nonzero", "aten.equal", "is_pinned", "masked_select")
ErrorMode = Literal["thread_local", "relaxed", "global"]


class Recorder(Protocol):
    """Records work whose tensors all keep their places, and replays it."""

    def warm(self, work: Work) -> None:
        """Runs `work` as it will be recorded; raises if it waits for the device or copies from the host."""
        ...

    def record(self, work: Work) -> tuple[Callable[[], None], Tensors]:
        """Returns the replay, and the tensors that it writes its results to.

        Raises what came in the way; the device is then as it was before.
        """
        ...

    def close(self) -> None:
        """Gives all memory back. No replay may be called afterwards."""
        ...


class CudaRecorder:
    """CUDA graphs of one device in one pool of memory.

    mode: what another call of this process may do meanwhile; the other threads of a host allocate and copy.
    """

    def __init__(self, device: torch.device, mode: ErrorMode = "thread_local") -> None:
        self.device, self.mode = device, mode
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()
        self.graphs: list[torch.cuda.CUDAGraph] = []

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Context manager: work goes to our own stream, after what was asked before and before what comes."""
        here = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(here)
        try:
            with torch.cuda.stream(self.stream):
                yield
        finally:
            here.wait_stream(self.stream)

    def warm(self, work: Work) -> None:
        # libraries make their workspaces for this stream; and a wait inside a recording breaks it, what that
        # leaves behind is hard to clear: found out here
        before = torch.cuda.get_sync_debug_mode()
        with self._aside():
            torch.cuda.set_sync_debug_mode("error")
            try:
                work()
            finally:
                torch.cuda.set_sync_debug_mode(before)

    def record(self, work: Work) -> tuple[Callable[[], None], Tensors]:
        torch.cuda.synchronize(self.device)
        torch.cuda.empty_cache()  # what warming up has left, on a stream that nothing else uses
        graph = torch.cuda.CUDAGraph()
        noise = _generator(self.device).get_state()
        with self._aside(), _uncollected():
            graph.capture_begin(pool=self.pool, capture_error_mode=self.mode)
            try:
                out = work()
                graph.capture_end()
            except BaseException:
                self._abandon(graph, noise)
                raise
        self.graphs.append(graph)
        return graph.replay, out

    def _abandon(self, graph: torch.cuda.CUDAGraph, noise: Tensor) -> None:
        """Leaves a recording that failed.

        Torch itself leaves its allocator in it, and the device's noise, which then refuses to be drawn.
        """
        inner: Any = torch._C
        with suppress(Exception):
            graph.capture_end()
        with suppress(Exception):
            graph.reset()
        with suppress(Exception):
            inner._cuda_endAllocateToPool(self.device.index or 0, self.pool)  # refused where it has ended
            inner._cuda_releasePool(self.device.index or 0, self.pool)
        with suppress(Exception):
            fresh = torch.Generator(self.device)
            fresh.set_state(noise)
            own: Any = _generator(self.device)
            own.graphsafe_set_state(fresh.graphsafe_get_state())
        with suppress(Exception):
            torch.cuda.synchronize(self.device)

    def close(self) -> None:
        if self.graphs:
            torch.cuda.synchronize(self.device)
        while self.graphs:
            self.graphs.pop().reset()
        torch.cuda.empty_cache()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Context manager: nothing of others' is taken apart meanwhile, which a recording may not survive."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _generator(device: torch.device) -> torch.Generator:
    return torch.cuda.default_generators[device.index or 0]


class _Tape(TorchDispatchMode):
    """Notes every call of an operator, with its very tensors.

    Refuses what a recording on a card can't hold.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = str(func), kwargs or {}
        if any(word in name for word in WAITS):
            raise RuntimeError(f"{name} waits for the device")
        out = func(*args, **kwargs)
        places = {x.device.type for x in tree_leaves((args, kwargs, out)) if isinstance(x, Tensor) and x.ndim}
        if len(places) > 1:
            raise RuntimeError(f"{name} copies between {' and '.join(sorted(places))}")
        self.calls.append((func, args, kwargs, out))
        return out

    def replay(self) -> None:
        for func, args, kwargs, out in self.calls:
            marks = [r.alias_info for r in func._schema.returns]
            if marks and all(m is not None and not m.is_write for m in marks):
                continue  # a view, of memory that stays where it is
            again = func(*args, **kwargs)
            for place, x in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(place, Tensor) and place.data_ptr() != x.data_ptr():
                    place.copy_(x)


class Rehearsal:
    """The same on a machine without a card: calls of operators are noted and made again on the same tensors.

    As in a graph Python does not run in a replay, and what it put into the calls is as it was when recorded.
    """

    def __init__(self) -> None:
        self.recorded = self.replayed = self.warmed = 0
        self.tapes: list[_Tape] = []

    def warm(self, work: Work) -> None:
        with _Tape():
            work()
        self.warmed += 1

    def record(self, work: Work) -> tuple[Callable[[], None], Tensors]:
        tape = _Tape()
        with tape:
            out = work()
        self.tapes.append(tape)
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            with torch.no_grad():
                tape.replay()

        return replay, out

    def close(self) -> None:
        while self.tapes:
            self.tapes.pop().calls.clear()

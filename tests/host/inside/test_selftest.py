"""The self-test: not disturbed by a card's TF32, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from bounds import DEVICE
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes.host.backbones import grad, selftest
from region_drag_editing.nodes.host.backbones.exact import exact
from region_drag_editing.nodes.host.backbones.selftest import self_test
from selftests import WRONG, check, in_half, off_by, unet
from torch import Tensor

LEVELS = (20.0, 200.0, 381.0, 700.0)
CUDNN = torch.backends.cudnn


@pytest.fixture(autouse=True)
def anew() -> None:
    selftest.forget()


class _Card:
    """Rounds the operands of convolutions in float32 as cuDNN does while it may: to 10 bits of mantissa, now
    to the nearest, now towards zero, as another algorithm would.
    """

    def __init__(self) -> None:
        self.dice = torch.Generator().manual_seed(1)
        self.rounded = 0

    def tf32(self, x: Any) -> Any:
        if not CUDNN.allow_tf32 or x.dtype != torch.float32:
            return x
        self.rounded += 1
        bits = x.detach().contiguous().view(torch.int32)
        nearest = bool(torch.randint(2, (1,), generator=self.dice))
        add = 0x0FFF + ((bits >> 13) & 1) if nearest else 0
        return ((bits + add) & ~0x1FFF).view(torch.float32)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Card]:
    out = _Card()
    conv, back, own = F.conv2d, torch.nn.grad.conv2d_input, torch.nn.Conv2d._conv_forward
    monkeypatch.setattr(F, "conv2d", lambda x, w, *a, **k: conv(out.tf32(x), out.tf32(w), *a, **k))
    monkeypatch.setattr(
        torch.nn.grad, "conv2d_input", lambda shape, w, g, *a: back(shape, out.tf32(w), out.tf32(g), *a)
    )
    monkeypatch.setattr(
        torch.nn.Conv2d, "_conv_forward", lambda m, x, w, b: own(m, out.tf32(x), out.tf32(w), b)
    )
    monkeypatch.setattr(CUDNN, "allow_tf32", True)  # as a card starts, and not in these tests elsewhere
    yield out
    assert CUDNN.allow_tf32


def test_a_right_unet_passes_on_a_card_with_tf32(card: _Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every seed and level (100 of 100 when it was written, 12 here). The two gradients themselves differ
    by more than the bar there.
    """
    patcher = unet()

    def body(backbone: Any, _: Tensor) -> tuple[list[float], int]:
        z = tiny.at(backbone, tiny.noise(1, 4, 16, 16, seed=0))
        apart = []
        for _ in range(5):
            a, b = (selftest._gradient(backbone, z, 381.0, tiny.UNET_TAPS, None, r) for r in (False, True))
            apart.append(tiny.error(b, a))
        card.rounded = 0
        for seed in range(3):
            monkeypatch.setattr(selftest, "SEED", seed)
            for level in LEVELS:
                self_test(backbone, level, tiny.UNET_TAPS, again=True)
        return apart, card.rounded

    apart, rounded = tiny.in_session(patcher, body, tiny.UNET_TAPS)
    print(f"apart without the mend: {min(apart):.1e} to {max(apart):.1e}")
    assert max(apart) > 1e-4 and rounded == 0


def _convolutions(patch: pytest.MonkeyPatch) -> None:
    own = torch.nn.grad.conv2d_input
    patch.setattr(torch.nn.grad, "conv2d_input", lambda *a: 1.1 * own(*a))


PLANTED: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "recomputed wrongly": (off_by(1.1), "recomputed passes"),
    "recomputed a little wrongly": (off_by(1 + 2e-4), "recomputed passes"),  # not "0.0%"
    "of every layer": (lambda p: p.setattr(grad, "dense", lambda w: 1.1 * w), "a finite difference"),
    "of convolutions": (_convolutions, "a finite difference"),
    "not a number": (off_by(float("nan")), "recomputed passes"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_wrong_gradient_is_refused_on_a_card_with_tf32(
    card: _Card, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, against = PLANTED[name]
    plant(monkeypatch)
    bar = "1.0e-04" if against == "recomputed passes" else "3.0e-02"
    number = r"(\d\.\de[-+]\d\d|nan)"
    with pytest.raises(
        DragError,
        match=rf"{WRONG} {number} in the self-test \(against {against}; {bar} is allowed; float32 "
        rf"on {DEVICE}",
    ) as caught:
        check(unet())
    said = str(caught.value)
    print(said)
    assert "0.0e+00" not in said and said.count(". ") == 0 and "\n" not in said
    assert not selftest._passed


def _state() -> list[Any]:
    """All of torch's switches of precision; what it refuses to read (set one by one) as "refused"."""
    cudnn, out = CUDNN, []
    reads: list[Callable[[], Any]] = [lambda: cudnn.benchmark, lambda: cudnn.deterministic]
    reads += [lambda: cudnn.allow_tf32, torch.get_float32_matmul_precision]
    if NEWER:
        reads += [lambda p=p: p.fp32_precision for p in (cudnn.conv, cudnn.rnn, MATMUL, torch.backends)]
    for read in reads:
        try:
            out.append(read())
        except RuntimeError:
            out.append("refused")
    return out


NEWER, MATMUL = hasattr(CUDNN, "conv"), torch.backends.cuda.matmul  # torch >= 2.9
SETTINGS: dict[str, Callable[[], None]] = {
    "as torch starts": lambda: None,
    "benchmark and high": lambda: [  # type: ignore[dict-item]
        setattr(CUDNN, "benchmark", True),
        torch.set_float32_matmul_precision("high"),
    ],
}
if NEWER:
    SETTINGS |= {
        "one by one": lambda: [  # type: ignore[dict-item]
            setattr(p, "fp32_precision", v)
            for p, v in ((CUDNN.conv, "tf32"), (CUDNN.rnn, "ieee"), (MATMUL, "tf32"))
        ],
        "all at once": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    }


@pytest.mark.parametrize("name", SETTINGS)
def test_all_switches_are_as_they_were(name: str) -> None:
    """Also where another pack has used torch's newer names, which the older ones then refuse to read."""
    parts = [CUDNN.conv, CUDNN.rnn, MATMUL, torch.backends.mkldnn.matmul, torch.backends] if NEWER else []
    kept = [p.fp32_precision for p in parts]
    try:
        SETTINGS[name]()
        before = _state()
        with pytest.raises(DragError), exact():
            inside = _state()
            raise DragError("no")
        assert _state() == before
        assert inside[:2] == [False, True] and inside[3] == "highest"
        assert inside[2] is False or inside[4:6] == ["ieee", "ieee"]
        assert inside[4:7] == (["ieee"] * 3 if NEWER else [])
    finally:
        CUDNN.benchmark, CUDNN.allow_tf32 = False, True
        torch.set_float32_matmul_precision("highest")
        for p, value in zip(parts, kept, strict=True):
            p.fp32_precision = value


class _Recorder:
    """A host's compiler that replays a pass at the addresses of the one before: where a pass was left before
    its end, twice, what comes after is another's.
    """

    def __init__(self, begin: Callable[..., Any]) -> None:
        self.begin, self.open = begin, 0

    def __call__(self, net: Any, x: Tensor, *args: Any, **kw: Any) -> Any:
        if self.open > 1 and not torch.is_grad_enabled():
            x = x + 0.1
        self.open += 1
        out = self.begin(net, x, *args, **kw)
        self.open = 0
        return out


@pytest.mark.parametrize("make", [unet, in_half])
def test_a_host_that_early_stops_break_is_found(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    patcher = make()
    recorder = _Recorder(UNetModel._forward)
    monkeypatch.setattr(UNetModel, "_forward", lambda *args, **kw: recorder(*args, **kw))
    with pytest.raises(
        DragError, match=r"the features of this model change by .* \(against passes that stopped"
    ):
        check(patcher)

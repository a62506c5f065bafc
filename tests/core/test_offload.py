"""Blocks whose weights come to the device while they run: the same numbers, released again; and what of an
edit is chosen by the memory that is there.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks import fits, models, tiny
from benchmarks.meter import flash
from drag_core import edit as editing
from drag_core.backends import blocks, load, room
from drag_core.backends.diffusers_flux import DiffusersFlux
from drag_core.backends.diffusers_unet import DiffusersUNet
from drag_core.backends.identity import train_lora
from drag_core.backends.load import Model, load_model
from drag_core.bench.cases import held_out
from drag_core.lora import Training
from drag_core.recipes.dragflow import dragflow
from drag_core.trajectory.kvcache import KVPlain
from drag_core.trajectory.schedules import every_level, flow
from drag_core.types import DragError, FeatureTap, Grid, KVInject, KVRecord
from tests.core.test_backends import BACKBONES

Backbone = DiffusersFlux | DiffusersUNet
KV_BLOCKS = {"unet": ("attn.1", "attn.3"), "flux": ("double.0", "double.1", "single.1")}
REAL = blocks.brought


class Card:
    """In place of brought(): "cpu:0", which torch holds for another device than "cpu", plays the card.

    `most`: the largest number of blocks whose weights were there at one time; `came`: how often one came.
    """

    def __init__(self) -> None:
        self.most, self.came = 0, 0
        self.there: list[list[weakref.ref[Any]]] = []

    @contextmanager
    def __call__(self, m: nn.Module, _: torch.device, dtype: Any = None, but: Any = ()) -> Iterator[None]:
        home = {p.data_ptr() for p in m.parameters()}
        with REAL(m, torch.device("cpu:0"), dtype, but):
            copies = _copies(m, home)
            self.there.append([weakref.ref(x.untyped_storage()) for x in copies])
            del copies
            self.came += 1
            self.most = max(self.most, sum(any(r() is not None for r in refs) for refs in self.there))
            yield
        assert {p.data_ptr() for p in m.parameters()} == home, "not its own weights again"


def _copies(m: nn.Module, home: set[int]) -> list[Tensor]:
    found = [x for sub in m.modules() for own in blocks.both(sub) for x in own.values() if x is not None]
    return [x for x in found if x.data_ptr() not in home]


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    out = Card()
    monkeypatch.setattr(blocks, "brought", out)
    return out


def networks() -> Iterator[Any]:
    for name, (make, (tap, _), _, t) in BACKBONES.items():
        backbone, z = make()
        yield pytest.param(backbone, z, t, tap, KV_BLOCKS[name], id=name)


def answers(b: Backbone, z: Tensor, t: float, tap: str, kv: tuple[str, ...], stop: bool) -> list[Tensor]:
    """A pass without and one with a gradient, K/V stored by the one and injected into the other."""
    cache = KVPlain()
    with torch.no_grad():
        plain = b.predict(torch.flip(z, (-1,)), t, KVRecord(cache, kv))
    z = z.clone().requires_grad_()
    out = [plain, *(x for block in kv for x in cache.get(t, block) if x is not None)]
    for _ in range(2):  # the second time what the level decides is known
        maps, prediction = b.features(z, t, (FeatureTap(tap),), KVInject(cache, kv), stop=stop)
        loss = maps[0].square().mean() + (0 if prediction is None else prediction.square().mean())
        out += [maps[0].detach(), torch.autograd.grad(loss, z)[0]]
    return out


@pytest.mark.parametrize("stop", [True, False])
@pytest.mark.parametrize(("b", "z", "t", "tap", "kv"), list(networks()))
def test_weights_that_come_and_go_give_the_same_bits(
    card: Card, b: Backbone, z: Tensor, t: float, tap: str, kv: tuple[str, ...], stop: bool
) -> None:
    want = answers(b, z, t, tap, kv, stop)
    assert card.came == 0
    b.offload = True
    got = answers(b, z, t, tap, kv, stop)
    b.offload = False
    assert len(got) == len(want) and all(torch.equal(x, y) for x, y in zip(got, want, strict=True))
    assert card.came > len(b.blocks), "no block was brought"
    # one that runs, and one whose backward is still at work
    assert card.most <= 2, f"{card.most} blocks' weights were there at once"


@pytest.mark.parametrize(("b", "z", "t", "tap", "kv"), list(networks()))
def test_checkpoints_of_every_kind_of_network(
    b: Backbone, z: Tensor, t: float, tap: str, kv: tuple[str, ...]
) -> None:
    want = answers(b, z, t, tap, kv, False)
    b.checkpoint = True
    got = answers(b, z, t, tap, kv, False)
    b.checkpoint = False
    assert all(torch.equal(x, y) for x, y in zip(got, want, strict=True))


@pytest.mark.parametrize(("b", "z", "t", "tap", "kv"), list(networks()))
def test_a_lora_is_learnt_through_weights_that_come_and_go(
    card: Card, b: Backbone, z: Tensor, t: float, tap: str, kv: tuple[str, ...]
) -> None:
    levels = flow(1000) if isinstance(b, DiffusersFlux) else every_level()
    short = Training(steps=2, batch=1)
    want = train_lora(b, z, levels, short)
    b.offload = True
    got = train_lora(b, z, levels, short)
    b.offload = False
    assert card.came and got.losses == want.losses
    for path, pair in want.weights.items():
        assert all(torch.equal(x, y) for x, y in zip(pair, got.weights[path], strict=True))
    assert any(up.abs().max() > 0 for _, up in want.weights.values())


def test_an_edit_of_flux_fits() -> None:
    """On the meta device, which also refuses weights that were not brought. 36 single blocks are left out,
    of 0.283 GB each.
    """
    with flash():
        whole, lean = (fits.flux_edit(offload, singles=2) for offload in (False, True))
    assert list(whole) == list(lean) == ["encode", "invert", "update", "denoise", "decode"]
    assert 20e9 < max(whole.values()) + 36 * 0.283e9 < 33e9  # of 40
    assert 1e9 < max(lean.values()) < 4e9  # of 16; a double block has 0.68


def test_k_v_are_planned_as_large_as_they_are() -> None:
    for name, (make, _, _, t) in BACKBONES.items():
        b, z = make()
        named, cache = tuple(b.projections), KVPlain()
        with torch.no_grad():
            b.predict(z, t, KVRecord(cache, named, text=True))
        size = room.kv_size(b, named, Grid(*z.shape[-2:]), 1, True)
        assert size.bytes("pageable") == cache.bytes, name


def test_activations_are_foreseen_to_a_tenth() -> None:
    shape, text = (1, 16, 128, 128), torch.empty(1, 512, 4096, device="meta").bfloat16()
    net = models.flux_dev(singles=1)
    joint = DiffusersFlux(net, text, torch.empty(1, 768, device="meta").bfloat16())
    half = models.sd15(dtype=torch.float16)
    unet = DiffusersUNet(half, torch.empty(1, 77, 768, device="meta").half())
    cases: list[tuple[Any, Any, tuple[int, ...], str]] = [
        (joint, net, shape, "double.4"),
        (unet, half, (1, 4, 64, 64), "up.2"),
    ]
    with flash():
        for b, of, size, tap in cases:
            for b.checkpoint in (False, True):
                seen = fits.pass_peak(b, of, size, (FeatureTap(tap),))
                grid = Grid(*size[-2:])
                said = room.activation_bytes(b, grid, (FeatureTap(tap),), False, b.checkpoint)
                assert seen * 0.9 < said < seen * 1.35, (tap, b.checkpoint, said, seen)


@pytest.mark.parametrize(
    ("trouble", "tried"),
    [
        ("none", [False]),
        ("little room", [True]),
        ("out of memory", [False, True]),
        ("out of memory with checkpoints", [False, True]),
    ],
)
def test_checkpoints_where_they_are_needed(
    monkeypatch: pytest.MonkeyPatch, trouble: str, tried: list[bool]
) -> None:
    backbone, seen, result = tiny.flux(3, 2), list[bool](), object()
    model = Model("tiny", "flux", backbone, None, 16, 16)  # type: ignore[arg-type]

    def drag(backbone: Any, *_: Any, **__: Any) -> Any:
        seen.append(backbone.checkpoint)
        if trouble.startswith("out of") and (not backbone.checkpoint or trouble.endswith("checkpoints")):
            raise torch.cuda.OutOfMemoryError
        return result

    monkeypatch.setattr(editing, "drag", drag)
    if trouble == "little room":
        monkeypatch.setattr(room, "free_on", lambda device: 2**14)
    recipe = dragflow(models.task(Grid(32, 32), models.squares(8, 1, Grid(32, 32))))
    source = models.source(recipe, (1, 4, 16, 16), torch.float32, "cpu")
    with (
        pytest.raises(torch.cuda.OutOfMemoryError) if len(tried) == 2 and "with" in trouble else nullcontext()
    ):
        assert editing._dragged(model, source, recipe, editing.quiet) is result
    assert seen == tried and backbone.checkpoint is False


def test_k_v_go_to_ram_in_as_few_bits_as_it_takes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    b, size, cpu = tiny.flux(3, 2), Grid(16, 16), torch.device("cpu")
    whole = room.kv_size(b, ("double.1",), size, 10, False).bytes("pageable")
    for share, storage in ((2.0, "pageable"), (0.7, "fp8"), (0.22, "v fp8")):
        monkeypatch.setattr(room, "free_ram", lambda share=share: (int(whole * share / 0.6), 2**40))
        store = room.kv_store(b, ("double.1",), size, 10, False, cpu)
        assert store is not None and store.storage == storage
    assert "kept fp8" in caplog.text and "pageable" not in caplog.text.replace("whole; kept", "")
    assert room.kv_store(b, (), size, 10, False, cpu) is None


def test_a_card_too_small_for_the_weights_is_said_before_they_move(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    net = tiny.flux(1, 1).net
    room.check_weights(net, torch.device("cpu"), "tiny")
    monkeypatch.setattr(room, "free_on", lambda device: 1000)
    with pytest.raises(DragError, match=r"weights of tiny take .* in float32 .* free on meta: add --offload"):
        load._moved(net, "tiny", "meta")
    assert next(net.parameters()).device.type == "cpu"


def test_the_autoencoder_is_on_the_device_only_while_it_runs(
    card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drag_core.backends import codec

    monkeypatch.setattr(codec, "brought", card)
    model: Model = load_model("embedded-flux")
    image = held_out(1)[0].source[None]
    model.codec.decode(model.codec.encode(image))
    assert card.came == 2 and card.most == 1
    assert {p.dtype for p in model.codec.vae.parameters()} == {torch.float16}  # the file's own

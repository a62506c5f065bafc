"""The host's compiler and CUDA graphs are off inside a body and inside stock samplers with a patch of ours,
and as they were afterwards; what a stopped pass left in the host's queues is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import comfy.cli_args
import comfy.model_management as mm
import comfy.model_prefetch
import comfy.sample
import comfy.samplers
import folder_paths
import ip_adapters
import pytest
import tiny
import torch
from comfy.patcher_extension import WrappersMP
from region_drag_editing.drag_core.types import DragError, FeatureTap, Grid, Handle, Task
from region_drag_editing.nodes import (
    DragAdapterInjection,
    DragBackgroundHardConstraint,
    DragCorrespondenceGuide,
    DragInvert,
    DragKVInject,
)
from region_drag_editing.nodes.host.backbones import compiler
from region_drag_editing.nodes.host.backbones.compiler import SWITCHES, uncompiled
from region_drag_editing.nodes.host.loaders import load_embedded
from region_drag_editing.nodes.host.session import SessionNeeds, run
from torch import Tensor

ARGS = comfy.cli_args.args
ON = dict.fromkeys(SWITCHES, True)
SIDE = 128
Asked = list[dict[str, bool]]


def switches() -> dict[str, bool]:
    return {name: getattr(ARGS, name) for name in SWITCHES}


@pytest.fixture(autouse=True, params=[False, True])
def start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """The compiler as a newer host has it, on or turned off by the user; this one may have no such switch."""
    monkeypatch.setattr(ARGS, SWITCHES[0], request.param, raising=False)
    monkeypatch.setattr(ARGS, SWITCHES[1], False, raising=False)
    return switches()


@pytest.fixture(scope="module")
def setup() -> dict[str, Any]:
    with torch.inference_mode():
        model, positive, vae = load_embedded("embedded-flux")
        y, x = torch.meshgrid(torch.linspace(0, 1, SIDE), torch.linspace(0, 1, SIDE), indexing="ij")
        latent = {"samples": vae.encode(torch.stack([x, y, 0.5 + 0.5 * torch.sin(9 * x)], -1)[None])}
        out = DragInvert.execute(model, positive, latent, "auto", 4, 0.5, "auto", 1.0, "auto").args
    return {"model": model, "positive": positive, "latent": latent, "out": out}


class Stop(BaseException):
    pass


ENDS = [None, DragError("no"), mm.InterruptProcessingException(), Stop()]


@pytest.mark.parametrize("end", ENDS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("gradients", [False, True])
def test_in_a_body(
    setup: dict[str, Any],
    start: dict[str, bool],
    end: BaseException | None,
    gradients: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: Asked = []
    cleaned: Asked = []
    monkeypatch.setattr(comfy.model_prefetch, "cleanup_prefetch_queues", lambda: cleaned.append(switches()))

    def body(backbone: Any, z: Tensor) -> str:
        with torch.no_grad():
            backbone.features(z, 0.3, (FeatureTap("double.0"),))  # stops early
        asked.append(switches())
        if end is not None:
            raise end
        return "ran"

    def work() -> Any:
        with torch.inference_mode():
            need = SessionNeeds((FeatureTap("double.0"),), gradients)
            return run(setup["model"], setup["positive"], setup["latent"]["samples"], body, need)

    if end is None:
        assert work() == "ran"
    else:
        with pytest.raises(type(end)):
            work()
    assert asked == [ON] and switches() == start and cleaned


def watched(model: Any, asked: Asked, end: BaseException | None = None) -> Any:
    """Looks at the switches where the model is called, and ends there."""
    clone = model.clone()

    def look(executor: Any, *args: Any, **kw: Any) -> Any:
        asked.append(switches())
        if end is not None:
            raise end
        return executor(*args, **kw)

    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "look", look)
    return clone


def sample(setup: dict[str, Any], model: Any) -> Tensor:
    noise, latent, sigmas, _ = setup["out"][:4]
    with torch.inference_mode():
        n, kind = noise.generate_noise(latent), comfy.samplers.sampler_object("euler")
        conds = [setup["positive"], setup["positive"]]
        return comfy.sample.sample_custom(model, n, 1.0, kind, sigmas, *conds, latent["samples"], seed=1)


def background(setup: dict[str, Any], model: Any) -> Any:
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, 32:96, 48:112] = 1
    return DragBackgroundHardConstraint.execute(model, setup["out"][3], mask, "trajectory").args[0]


def keys_and_values(setup: dict[str, Any], model: Any) -> Any:
    return DragKVInject.execute(model, setup["out"][3], "auto", 0.0, 1.0).args[0]


def guide(setup: dict[str, Any], model: Any) -> Any:
    task = Task(Grid(SIDE, SIDE), handles=(Handle((48.0, 48.0), (72.0, 48.0)),))
    return DragCorrespondenceGuide.execute(model, setup["latent"], task, 1.0, 40, 0.0, 1.0).args[0]


def somebodys(model: Any) -> Any:
    """An adapter by hooks: doubles the values of every self-attention."""
    clone = model.clone()
    clone.set_model_attn1_patch(lambda q, k, v, extra_options=None, **kw: {"v": 2 * v})
    return clone


def adapter(setup: dict[str, Any], model: Any) -> Any:
    return DragAdapterInjection.execute(model, somebodys(model), 0.5, "both", 0.0, 1.0).args[1]


PATCHES: dict[str, Callable[[dict[str, Any], Any], Any]] = {
    "background": background,
    "keys and values": keys_and_values,
    "guide": guide,
    "adapter": adapter,
}


@pytest.mark.parametrize("end", ENDS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("name", PATCHES)
def test_in_a_stock_sampler_with_a_patch(
    setup: dict[str, Any], start: dict[str, bool], name: str, end: BaseException | None
) -> None:
    asked: Asked = []
    model = watched(PATCHES[name](setup, setup["model"]), asked, end)
    if end is None:
        sample(setup, model)
    else:
        with pytest.raises(type(end)):
            sample(setup, model)
    assert asked and all(a == ON for a in asked) and switches() == start


def test_a_plain_sampler_stays_compiled(setup: dict[str, Any], start: dict[str, bool]) -> None:
    for name in PATCHES:
        PATCHES[name](setup, setup["model"])  # on clones
    asked: Asked = []
    sample(setup, watched(setup["model"], asked))
    assert asked and all(a == start for a in asked)


def wrappers(model: Any) -> list[Any]:
    options = model.model_options["transformer_options"]
    found = options.get("wrappers", {}).get(WrappersMP.OUTER_SAMPLE, {}).get(compiler.KEY, [])
    assert compiler.KEY not in model.wrappers.get(WrappersMP.OUTER_SAMPLE, {})
    return list(found)


def test_one_wrapper_for_all_patches(setup: dict[str, Any]) -> None:
    model = setup["model"]
    for put in PATCHES.values():
        model = put(setup, model)
    assert len(wrappers(model)) == 1 and wrappers(setup["model"]) == []
    asked: Asked = []
    sample(setup, watched(model, asked))
    assert asked and all(a == ON for a in asked)


def test_the_wrapper_is_no_part_of_an_adapter(setup: dict[str, Any]) -> None:
    """A MODEL with our patch can still be weakened and switched by DragAdapterInjection."""
    ours = somebodys(keys_and_values(setup, setup["model"]))
    out = DragAdapterInjection.execute(setup["model"], ours, 0.5, "both", 0.0, 1.0).args
    assert "outer_sample" not in out[2] and "hooks (patches)" in out[2]


@pytest.mark.parametrize("kind", ["xlabs", "instantx"])
def test_with_an_ip_adapter(kind: str, start: dict[str, bool], tmp_path: Path, adapters: None) -> None:
    model = tiny.load_flux(tiny.flux_weights(), tmp_path / "flux.safetensors", torch.float32)
    on = ip_adapters.apply(model, kind)[1]
    asked: Asked = []
    tiny.output(watched(on, asked))
    assert asked and all(a == ON for a in asked) and switches() == start
    assert len(wrappers(ip_adapters.apply(on, kind)[1])) == 1  # a second adapter


@pytest.fixture
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    kept = dict(folder_paths.folder_names_and_paths)
    for name in (ip_adapters.ip_adapter.FOLDERS, "clip_vision"):
        where = [str(tmp_path_factory.mktemp(name))]
        folder_paths.folder_names_and_paths[name] = (where, folder_paths.supported_pt_extensions)
    yield
    folder_paths.folder_names_and_paths.update(kept)


def test_nested_and_without_switches(start: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    with uncompiled():
        with pytest.raises(Stop), uncompiled():
            raise Stop
        assert switches() == ON
    assert switches() == start
    for name in SWITCHES:
        monkeypatch.delattr(ARGS, name)
    monkeypatch.delattr(comfy.model_prefetch, "cleanup_prefetch_queues")
    with uncompiled():
        assert not any(hasattr(ARGS, name) for name in SWITCHES)
    assert not any(hasattr(ARGS, name) for name in SWITCHES)


def test_it_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(compiler, "_told", set())
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            with uncompiled():
                pass
    assert [r.message for r in caplog.records].count(
        "drag: ComfyUI's compiler and CUDA graphs are off while drags and our patches run"
    ) == 1

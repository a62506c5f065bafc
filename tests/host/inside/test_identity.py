"""DragIdentityLoRA: the host's model stays as it was, and the file works in the host's own loader."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import folder_paths
import pytest
import tiny
import torch
from bounds import gap, merged, within
from bounds import same as same_tensors
from region_drag_editing.drag_core.lora import Training, low_rank, noised
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes import DragIdentityLoRA
from region_drag_editing.nodes.host import lora as identity
from tiny import SessionNeeds, at, error, noise
from torch import Tensor

import nodes

SHORT = Training(steps=3, rank=4, rate=5e-3, batch=2)
WEIGHTS = {"flux": tiny.flux_weights(128, 1), "unet": tiny.unet_weights()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The host's loras folder, for the while."""
    place = tmp_path_factory.mktemp("loras")
    kept = folder_paths.folder_names_and_paths["loras"]
    folder_paths.folder_names_and_paths["loras"] = ([str(place)], kept[1])
    yield place
    folder_paths.folder_names_and_paths["loras"] = kept
    folder_paths.filename_list_cache.clear()


@pytest.fixture(scope="module", params=["flux", "unet"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    if request.param == "unet":
        return tiny.load_unet(WEIGHTS["unet"], torch.float32)
    path = tmp_path_factory.mktemp("models") / "flux.safetensors"
    return tiny.load_flux(WEIGHTS["flux"], path, torch.float32)


def latent(patcher: Any) -> Tensor:
    with torch.inference_mode():
        z = 0.3 * noise(1, patcher.model.latent_format.latent_channels, *tiny.LATENT, seed=4)
        out: Tensor = patcher.model.process_latent_out(z)
        return out.clone()


def execute(patcher: Any, training: Training = SHORT, strength: float = 1.0, save_as: str = "mine") -> Any:
    t = training
    with torch.inference_mode():
        return DragIdentityLoRA.execute(
            patcher,
            tiny.positive(),
            {"samples": latent(patcher)},
            t.steps,
            t.rank,
            t.rate,
            t.batch,
            strength,
            t.seed,
            save_as,
        ).args


def train(*args: Any) -> Any:
    """As the executor runs the node: in inference mode, in which the host moves the weights to a card."""
    with torch.inference_mode():
        return identity.train(*args)


def state(patcher: Any) -> dict[str, Any]:
    net = patcher.model.diffusion_model
    return {
        "weights": {k: v.cpu().clone() for k, v in net.state_dict().items()},
        "modules": dict(net.named_modules()),
        "forwards": sum("forward" in m.__dict__ for m in net.modules()),
        "hooks": tiny.hooks(net),
        "patches": dict(patcher.patches),
        "grads": [p.grad is None and not p.requires_grad for p in net.parameters()],
        "training": getattr(mm, "in_training", None),
    }


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    plain = all(a[k] == b[k] for k in a if k != "weights")
    return plain and all(torch.equal(v, b["weights"][k]) for k, v in a["weights"].items())


def test_the_file_in_the_hosts_own_loader_gives_the_same(model: Any, folder: Path) -> None:
    output = tiny.output(model)
    before = state(model)
    patched, name, report = execute(model)
    assert same(state(model), before) and same_tensors(tiny.output(model), output)
    ours = tiny.output(patched)
    loaded = tiny.output(nodes.LoraLoaderModelOnly().load_lora_model_only(model, name, 1.0)[0])
    print("DragIdentityLoRA and LoraLoaderModelOnly:", float((ours - loaded).abs().max()))
    assert (ours - loaded).abs().max() <= within(1e-5) and (ours - output).abs().max() > 1e-3
    assert (folder / name).is_file() and not [p for p in folder.iterdir() if p.suffix == ".part"]
    facts = json.loads(report)
    assert len(facts["losses"]) == 3 and facts["file"] == name and facts["layers"] == len(patched.patches)
    nothing = tiny.output(execute(model, strength=0.0)[0])
    assert gap(nothing, output) <= merged(0.0)


def test_training_is_what_the_patched_model_does(model: Any, folder: Path) -> None:
    """What the layers added beside the weights gave in training, from the weights patched by the host."""
    trained = train(model, tiny.positive(), latent(model), SHORT)
    z = noise(2, model.model.latent_format.latent_channels, *tiny.LATENT, seed=5)
    t = torch.tensor([0.3, 0.8] if hasattr(model.model.diffusion_model, "double_blocks") else [301.0, 801.0])
    need = SessionNeeds(gradients=True, whole=True)

    def beside(backbone: Any, _: Tensor) -> Tensor:
        with identity.beside(identity.layers_of(model.model), trained.lora.weights, {}), torch.no_grad():
            return backbone.features(at(backbone, z), at(backbone, t), (), stop=False)[1]

    def rows(backbone: Any, _: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([backbone.predict(at(backbone, z[i : i + 1]), float(t[i])) for i in range(2)])

    with torch.inference_mode():
        a = tiny.run(model, tiny.positive(), latent(model), beside, need)
        b = tiny.run(identity.with_lora(model, trained, 1.0), tiny.positive(), latent(model), rows, need)
    print("beside the weights and in them:", float((a - b).abs().max()))
    assert gap(a, b) <= merged(1e-4)


def test_gradients_are_those_of_plain_autograd() -> None:
    patcher = tiny.load_unet(WEIGHTS["unet"], torch.float32)
    levels = identity.levels_of(patcher.get_model_object("model_sampling"))
    z0, way = noise(1, 4, *tiny.LATENT, seed=4), noise(2, 4, *tiny.LATENT, seed=6)
    z, t, wanted = noised(z0, levels, torch.tensor([300, 700]), way)
    layers = identity.layers_of(patcher.model)
    draw = torch.Generator().manual_seed(0)
    start = {}
    for name, m in layers.items():
        down, up = low_rank(4, *identity.shape_of(m), draw)
        start[name] = (down, up + 0.05 * torch.randn(up.shape, generator=draw))

    def body(backbone: Any, _: Tensor) -> dict[str, list[Tensor]]:
        pairs = {k: tuple(at(backbone, w).clone().requires_grad_() for w in v) for k, v in start.items()}
        with identity.beside(layers, pairs, {}):
            out = backbone.features(at(backbone, z), at(backbone, t), (), stop=False)[1]
            (out - at(backbone, wanted)).square().mean().backward()
        return {k: [w.grad for w in v] for k, v in pairs.items()}

    with torch.inference_mode():
        got = tiny.run(
            patcher, tiny.positive(), latent(patcher), body, SessionNeeds(gradients=True, whole=True)
        )
    plain = tiny.load_unet(WEIGHTS["unet"], torch.float32, inference=False)
    net = copy.deepcopy(plain.model.diffusion_model).double()
    named = identity.layers_of(plain.model)
    path = {
        name: next(k for k, m in plain.model.diffusion_model.named_modules() if m is named[name])
        for name in named
    }
    with torch.inference_mode(False), torch.enable_grad():
        pairs = {k: [w.double().requires_grad_() for w in v] for k, v in start.items()}
        merged = {
            f"{path[k]}.weight": net.get_parameter(f"{path[k]}.weight") + b @ a for k, (a, b) in pairs.items()
        }
        text = tiny.TEXT.double().expand(2, -1, -1)
        out = torch.func.functional_call(net, merged, (z.double(), t), {"context": text})
        (out - wanted.double()).square().mean().backward()
    gaps = [
        error(g, w.grad) for k in got for g, w in zip(got[k], pairs[k], strict=True) if w.grad.norm() > 1e-9
    ]
    print("LoRA gradients against plain autograd in float64:", max(gaps), len(gaps))
    assert len(gaps) > 50 and max(gaps) <= within(1e-4)


def test_half_precision_trains_as_single() -> None:
    found = {}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        patcher = tiny.computing_in(tiny.load_unet(WEIGHTS["unet"], dtype), dtype)
        lora = train(
            patcher, tiny.positive(), latent(patcher), Training(steps=2, rank=4, rate=5e-3, batch=1)
        ).lora
        found[dtype] = torch.cat([w.flatten() for _, w in lora.weights.values()])
        assert torch.isfinite(found[dtype]).all()
        print(dtype, lora.losses, float(torch.cosine_similarity(found[dtype], found[torch.float32], 0)))
    assert torch.cosine_similarity(found[torch.float16], found[torch.float32], 0) > 0.97
    assert torch.cosine_similarity(found[torch.bfloat16], found[torch.float32], 0) > 0.9


def test_on_top_of_the_users_own_lora(model: Any, folder: Path) -> None:
    first = train(model, tiny.positive(), latent(model), SHORT)
    mine = identity.with_lora(model, first, 0.7)
    output = tiny.output(mine)  # from now on the user's LoRA lies in the loaded weights
    before = state(mine)
    patched, name, _ = execute(mine, save_as="second")
    assert same(state(mine), before) and same_tensors(tiny.output(mine), output)
    both = tiny.output(patched)
    loaded = tiny.output(nodes.LoraLoaderModelOnly().load_lora_model_only(mine, name, 1.0)[0])
    alone = tiny.output(nodes.LoraLoaderModelOnly().load_lora_model_only(model, name, 1.0)[0])
    assert (both - loaded).abs().max() <= within(1e-5) and (both - alone).abs().max() > 1e-4
    other = train(mine, tiny.positive(), latent(mine), SHORT)
    assert other.lora.losses[0] != first.lora.losses[0]  # the user's LoRA was there while training


def test_remembered_by_picture_model_and_numbers(model: Any) -> None:
    positive, z = tiny.positive(), latent(model)
    first = train(model, positive, z, SHORT)
    assert train(model, tiny.positive(), z.clone(), SHORT) is first
    assert train(model, positive, z, Training(steps=3, rank=4, rate=5e-3, batch=2, seed=1)) is not first
    with torch.inference_mode():
        assert train(model, positive, z + 0.1, SHORT).key != first.key
    assert train(model.clone(), positive, z, SHORT) is not first
    identity._last.clear()
    again = train(model, positive, z, SHORT)
    assert again.key == first.key
    losses = (torch.tensor(x.lora.losses) for x in (again, first))
    assert same_tensors(*losses)  # deterministic


def test_cancelled_between_steps(model: Any) -> None:
    before, output = state(model), tiny.output(model)
    identity._last.clear()
    done: list[int] = []

    def stop(step: int, total: int) -> None:
        done.append(step)
        if step == 2:
            mm.interrupt_current_processing()

    with pytest.raises(mm.InterruptProcessingException):
        train(model, tiny.positive(), latent(model), SHORT, stop)
    assert done == [1, 2] and not identity._last
    assert same(state(model), before) and same_tensors(tiny.output(model), output)


def test_little_memory_takes_rows_one_by_one(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(model.model.diffusion_model, "double_blocks"):
        return  # decided the same way for both
    identity._last.clear()
    all_at_once = train(model, tiny.positive(), latent(model), SHORT).lora
    identity._last.clear()
    one = identity.memory.activation_bytes(model.model.diffusion_model, tiny.LATENT, (), True, False)
    size = int(model.model_size())
    monkeypatch.setattr(identity.memory, "free_bytes", lambda patcher: size + one)
    assert identity._rows(model, tiny.LATENT, 4) == 1
    single = train(model, tiny.positive(), latent(model), SHORT).lora
    for name, pair in all_at_once.weights.items():
        torch.testing.assert_close(single.weights[name], pair, rtol=1e-2, atol=1e-3)
    identity._last.clear()


@pytest.mark.parametrize("name", ["../x", "a/b", "C:\\x", ".hidden", "x.", "a\0b"])
def test_names_that_are_no_file_in_the_folder(model: Any, folder: Path, name: str) -> None:
    with pytest.raises(DragError, match="it names a file in ComfyUI's loras folder"):
        execute(model, save_as=name)


def test_no_file_for_an_empty_name(model: Any, folder: Path) -> None:
    before = set(folder.iterdir())
    assert execute(model, save_as="")[1] == "" and set(folder.iterdir()) == before

"""Our nodes in a running server: schema, caches, determinism, interrupts, bad input."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from tests.host.alike import same_losses, same_picture
from tests.host.record_examples import GOLDEN, ours
from tests.host.server import Server
from tests.host.test_examples import report, shipped
from tests.host.told import Prompt, Run
from tests.host.workflows import to_prompt

LATENT2RGB = {"preview_method": "latent2rgb"}


def example(server: Server, name: str = "dragflow", **changes: Any) -> Prompt:
    """An example as API prompt; changes are {"node id.input": value}."""
    prompt = copy.deepcopy(to_prompt(shipped(name), server.object_info()))
    for where, value in changes.items():
        node, _, key = where.partition("__")
        prompt[node.removeprefix("n")]["inputs"][key.replace("__", ".")] = value
    return prompt


def saved(server: Server, run: Run) -> np.ndarray[Any, Any]:
    assert run.ok, run.error
    return server.image(run.outputs["12"]["images"][0])


def test_object_info_is_golden(server: Server) -> None:
    """What workflows are saved against. Inputs may be added at the end; nothing may go or change its place:
    python -m tests.host.record_examples writes it anew.
    """
    assert ours(server.object_info()) == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_the_embedded_files_are_in_the_hosts_own_lists(server: Server) -> None:
    for node, key, name in (
        ("UNETLoader", "unet_name", "drag_tiny_flux.safetensors"),
        ("VAELoader", "vae_name", "drag_tiny_vae.safetensors"),
    ):
        assert name in server.object_info()[node]["input"]["required"][key][0]


def test_the_hosts_own_loaders_drag_too(server: Server) -> None:
    """UNETLoader and VAELoader in place of our loader; only the empty prompt still comes from it."""
    prompt = example(server)
    prompt["100"] = {
        "class_type": "UNETLoader",
        "inputs": {"unet_name": "drag_tiny_flux.safetensors", "weight_dtype": "default"},
    }
    prompt["101"] = {"class_type": "VAELoader", "inputs": {"vae_name": "drag_tiny_vae.safetensors"}}
    for node in prompt.values():
        for key, value in node["inputs"].items():
            if value == ["2", 0]:
                node["inputs"][key] = ["100", 0]
            elif value == ["2", 2]:
                node["inputs"][key] = ["101", 0]
    run = server.run(prompt)
    assert run.ok, run.error
    assert report(run, shipped("dragflow"))["model"] == "embedded FLUX"


def test_the_same_prompt_is_cached_and_the_same_seed_gives_the_same_bits(server: Server) -> None:
    prompt = example(server)
    first = server.run(prompt)
    again = server.run(prompt)
    assert first.ok, first.error
    assert again.ok, again.error
    assert again.ran == [] and set(again.cached) >= {"7", "9"}
    other = server.run(example(server, n9__preview_every=0))  # another value: DragOptimize runs anew
    assert other.ok, other.error
    assert "9" in other.ran and "7" not in other.ran
    assert same_picture(saved(server, first), saved(server, other))
    one, two = (report(r, shipped("dragflow")) for r in (first, other))
    assert same_losses(one["losses"], two["losses"]) and one["updates"] == 24
    assert two["inversion"]["reused"] and two["inversion"]["key"] == one["inversion"]["key"]


def test_a_second_drag_on_the_same_picture_reuses_the_inversion(server: Server) -> None:
    """Also where the host runs DragInvert again, since something before it was evaluated anew."""
    before = server.run(example(server))
    prompt = example(server)
    prompt["50"] = {
        "class_type": "ImageScaleBy",
        "inputs": {"image": ["1", 0], "upscale_method": "nearest-exact", "scale_by": 1.0},
    }
    prompt["4"]["inputs"]["pixels"] = ["50", 0]  # the same pixels by another way
    after = server.run(prompt)
    assert after.ok, after.error
    assert "7" in after.ran
    a, b = (report(r, shipped("dragflow"))["inversion"] for r in (before, after))
    assert b["reused"] and a["key"] == b["key"]


def test_previews_and_progress_come_while_it_drags(server: Server) -> None:
    run = server.run(example(server, n9__preview_every=2, n9__recipe="dragflow"), extra_data=LATENT2RGB)
    assert run.ok, run.error
    steps = run.progress("9")
    assert steps[-1][0] == steps[-1][1] == 24 + 9 and len(run.previews) >= 10
    assert run.outputs["9"]["images"] and len(run.outputs["9"]["drag_losses"]) == 24


def test_an_interrupt_at_iteration_5_leaves_nothing_behind(server: Server) -> None:
    clean = saved(server, server.run(example(server)))
    sent: list[int] = []

    def stop(name: str, data: dict[str, Any]) -> None:
        if name == "progress" and data.get("node") == "9" and data["value"] >= 5 and not sent:
            sent.append(data["value"])
            server.interrupt()

    long = example(
        server,
        n9__recipe="custom",
        n9__method="region",
        n9__method__iterations=400,
        n9__method__hold=0,
        n9__method__step=0.001,
    )
    run = server.run(long, on_event=stop)
    assert run.interrupted is not None and not run.ok and sent
    assert max(done for done, _ in run.progress("9")) < 100
    after = server.run(example(server, n9__preview_every=3))
    assert same_picture(saved(server, after), clean)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"n1__number": -1}, "value_smaller_than_min"),
        ({"n1__kind": "magic"}, "value_not_in_list"),
        ({"n3__image": ["2", 0]}, "return_type_mismatch"),
        ({"n3__weight": -1.0}, "value_smaller_than_min"),
        ({"n7__steps": 0}, "value_smaller_than_min"),
        ({"n7__solver": "magic"}, "value_not_in_list"),
        ({"n9__recipe": "magic"}, "value_not_in_list"),
        ({"n9__trajectory": ["3", 0]}, "return_type_mismatch"),
        ({"n9__method": "region", "n9__method__iterations": 0}, "value_smaller_than_min"),
        ({"n7__strength": 2.0}, "value_bigger_than_max"),
    ],
)
def test_bad_values_are_refused_before_anything_runs(
    server: Server, changes: dict[str, Any], kind: str
) -> None:
    status, body = server.post(example(server, **changes))
    errors = [e for node in body["node_errors"].values() for e in node["errors"]]
    assert [e["type"] for e in errors] == [kind], errors
    first = next(iter(changes)).startswith(("n1", "n3"))
    assert status == (400 if first else 200)  # 200: what does not hang on the wrong value still runs
    server.drain()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n9__recipe": "dragnext"}, "recipe dragnext does not fit embedded FLUX"),
        ({"n7__solver": "ddim"}, "solver ddim does not fit this model"),
        ({"n3__instruction": "{"}, "JSON"),
        ({"n3__instruction": '{"version": 1, "regions": []}'}, "nothing"),
        ({"n9__taps": "double.77"}, "'double.77' is not in this model"),
        ({"n9__kv": "denoise", "n9__kv_of": "picture"}, "the trajectory holds 0"),
        ({"n7__kv_layers": "single.99"}, "'single.99' is not in this model"),
        ({"name": "gooddrag", "n8__steps": 12}, "give both DragInvert nodes the same settings"),
    ],
)
def test_bad_input_is_one_sentence(server: Server, changes: dict[str, Any], said: str) -> None:
    run = server.run(example(server, **changes))
    assert run.error is not None
    message = run.error["exception_message"].strip()
    print(message)
    assert said in message and "\n" not in message and len(message) < 400
    assert run.error["exception_type"].endswith("DragError")


def test_regions_of_another_picture_are_refused(server: Server) -> None:
    prompt = example(server)
    prompt["60"] = {
        "class_type": "ImageScaleBy",
        "inputs": {"image": ["1", 0], "upscale_method": "area", "scale_by": 0.5},
    }
    prompt["3"]["inputs"]["image"] = ["60", 0]
    run = server.run(prompt)
    assert run.error is not None and "the regions are drawn on 128x128" in run.error["exception_message"]

"""The pack in a running server: it loads, and the host works on beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.host.place import COMFYUI, ROOT
from tests.host.server import PACK, Server
from tests.host.told import Prompt, Refused
from tests.host.workflows import to_prompt
from tools.workflows import Node, workflow


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([4 * x, 5 * y, 255 - 2 * x - 2 * y], -1).astype(np.uint8)


def scaling(name: str, width: int = 32, prefix: str = "drag") -> Prompt:
    """Load a picture, bring it to `width` x 16, save it."""
    sizes = {"upscale_method": "nearest-exact", "width": width, "height": 16, "crop": "disabled"}
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], **sizes}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": prefix}},
    }


def test_the_pack_loads(server: Server) -> None:
    folder = server.base / "custom_nodes" / PACK
    assert folder.resolve() == ROOT
    assert server.packs() == {str(folder): True}
    assert "Cannot import" not in server.log() and "IMPORT FAILED" not in server.log()


def test_its_nodes_come_from_this_checkout(server: Server) -> None:
    """And no other pack's: the user's ComfyUI may have any."""
    custom = {i: n for i, n in server.object_info().items() if n["python_module"].startswith("custom_nodes.")}
    assert {n["python_module"] for n in custom.values()} <= {f"custom_nodes.{PACK}"}
    assert custom and all(i.startswith("Drag") for i in custom)


def test_the_server_stays_out_of_the_users_folders(server: Server) -> None:
    name = server.upload(picture(), "whose.png")
    assert (server.base / "input" / name).exists() and not (COMFYUI / "input" / name).exists()
    assert server.run(scaling(name, prefix="whose")).ok
    assert list((server.base / "output").glob("whose*")) and not list((COMFYUI / "output").glob("whose*"))


def test_a_workflow_runs(server: Server) -> None:
    pixels = picture()
    name = server.upload(pixels, "ramp.png")
    run = server.run(scaling(name))
    assert run.ok and run.error is None and run.interrupted is None
    assert run.ran == ["1", "2", "3"] and run.cached == set()
    (ref,) = run.outputs["3"]["images"]
    got = server.image(ref)
    assert got.shape == (16, 32, 3)
    rows, columns = (np.arange(16) * 3 + 1), (np.arange(32) * 2 + 1)  # centres of 3 rows and 2 columns each
    assert np.array_equal(got, pixels[rows][:, columns])
    past = server.history(run.prompt_id)
    assert past["status"]["completed"] and past["outputs"]["3"]["images"] == [ref]


def test_the_same_again_comes_from_the_cache(server: Server) -> None:
    name = server.upload(picture(40, 80), "again.png")
    first, second = server.run(scaling(name)), server.run(scaling(name))
    assert first.ran == ["1", "2", "3"] and second.ok and second.ran == []
    assert second.cached == {"1", "2", "3"} and second.outputs == first.outputs


def test_a_bad_prompt_is_refused(server: Server) -> None:
    name = server.upload(picture(), "bad.png")
    status, body = server.post(scaling(name, width=-3))
    assert status == 400
    (error,) = body["node_errors"]["2"]["errors"]
    assert error["type"] == "value_smaller_than_min" and "width" in error["details"]
    with pytest.raises(Refused, match="value_smaller_than_min"):
        server.run(scaling(name, width=-3))


def test_an_error_in_a_node_is_told(server: Server) -> None:
    """And the next prompt runs: the files of a prompt are looked for when it is posted, so this one is broken
    in its middle.
    """
    name = server.upload(picture(), "torn.png")
    prompt = scaling(name)
    (server.base / "input" / name).write_bytes(b"no picture")
    run = server.run(prompt)
    assert not run.ok and run.error is not None
    assert run.error["node_id"] == "1" and run.error["node_type"] == "LoadImage"
    server.upload(picture(), "torn.png")
    assert server.run(prompt).ok


def test_a_dynamic_combo_runs(server: Server) -> None:
    """Its inputs arrive under the names that the converter gives them."""
    info, name = server.object_info(), server.upload(picture(), "dynamic.png")
    size = {"resize_type.width": 20, "resize_type.height": 12, "resize_type.crop": "disabled"}
    nodes = [
        Node(1, "LoadImage", {"image": name}),
        Node(2, "ResizeImageMaskNode", {"resize_type": "scale dimensions", **size}, {"input": (1, "IMAGE")}),
        Node(3, "SaveImage", {"filename_prefix": "dynamic"}, {"images": (2, 0)}),
    ]
    run = server.run(to_prompt(workflow(nodes, info), info))
    assert run.ok
    assert server.image(run.outputs["3"]["images"][0]).shape == (12, 20, 3)


def sampling(steps: int) -> Prompt:
    """A stock KSampler on the pack's smallest model, which needs no file of the user's."""
    settings = {
        "seed": 0,
        "steps": steps,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "simple",
        "denoise": 1.0,
    }
    model = {"model": ["1", 0], "positive": ["1", 1], "negative": ["1", 1], "latent_image": ["2", 0]}
    return {
        "1": {"class_type": "DragEmbeddedModel", "inputs": {"model_name": "embedded-flux"}},
        "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 256, "height": 256, "batch_size": 1}},
        "3": {"class_type": "KSampler", "inputs": settings | model},
        "4": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["1", 2]}},
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}},
    }


def test_progress_and_previews_are_heard(server: Server) -> None:
    run = server.run(sampling(6), extra_data={"preview_method": "latent2rgb"})
    assert run.ok and run.progress("3")[-1] == (6, 6)
    assert len(run.previews) >= 2 and all(p[:3] == b"\xff\xd8\xff" for p in run.previews)  # JPEG
    assert server.image(run.outputs["5"]["images"][0]).shape == (256, 256, 3)


def test_an_interrupted_prompt_ends_and_the_next_runs(server: Server) -> None:
    asked = []

    def stop(kind: str, data: dict[str, Any]) -> None:
        if kind == "progress" and data["value"] >= 5 and not asked:
            asked.append(data["value"])
            server.interrupt()

    run = server.run(sampling(2000), on_event=stop)
    assert asked and not run.ok and run.error is None
    assert run.interrupted is not None and run.interrupted["node_id"] == "3"
    assert run.progress("3")[-1][0] < 2000
    assert server.run(sampling(2)).ok


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    failing = Server(tmp_path, more=("--no-such-option",))
    with pytest.raises(AssertionError, match="unrecognized arguments: --no-such-option"), failing:
        pass

"""The pack as the host takes it in: what it gives, what that costs, and that it touches nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import region_drag_editing
from comfy_api.latest import ComfyExtension, io

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
# seen: 0.08 on an idle machine, 0.4 on one with a load of 5; the test of what is loaded is the sharper one
SECONDS = 1.0
RUNS = 3

# In a process of its own: the pack must not be imported yet, and an audit hook cannot be removed.
WATCH = """
import asyncio, gc, json, os, sys, time
from pathlib import Path
root, comfyui, scratch = map(Path, sys.argv[1:])
sys.dont_write_bytecode = True
sys.path.insert(0, str(root / "tests" / "host"))
import standins
kept = standins.on_cpu(comfyui)
import torch, numpy, cv2, comfy.sd, comfy.samplers, comfy.utils, latent_preview, comfy_api.latest
writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
changes = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod"}
outside = {"socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system"}
seen, watching = [], True
def hook(event, args):
    opened = event == "open" and isinstance(args[2], int) and args[2] & writes
    if watching and (opened or event in changes | outside):
        seen.append(f"{event} {args[0]!r}")
before = dict(vars(torch.backends.cuda.matmul), grad=torch.is_grad_enabled(), threads=torch.get_num_threads())
path, env = list(sys.path), dict(os.environ)
sys.addaudithook(hook)
gc.disable()  # a collection of all that the host holds takes 0.25 s, and whose allocation starts it is chance
there = set(sys.modules)
start = time.process_time()
pack = standins.load_pack()
async def load():  # as the host does it
    extension = await pack.comfy_entrypoint()
    await extension.on_load()
    return await extension.get_node_list()
asyncio.run(load())
seconds = time.process_time() - start
new = {name.split(".")[0] for name in set(sys.modules) - there} - set(sys.stdlib_module_names)
watching = False
after = dict(vars(torch.backends.cuda.matmul), grad=torch.is_grad_enabled(), threads=torch.get_num_threads())
found, seen, watching = seen, [], True  # the watch itself works
open(scratch / "x", "w").close(); os.remove(scratch / "x")
watching = False
print(json.dumps({
    "seconds": seconds, "new": sorted(new), "seen": found, "caught": len(seen), "same": before == after,
    "path": path == sys.path, "env": env == dict(os.environ),
}))
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The cheapest of some loads: the first also compiles, and the machine may be busy."""
    import folder_paths

    asyncio.run(region_drag_editing.comfy_entrypoint())  # compiles it: the processes below write no bytecode
    scratch = tmp_path_factory.mktemp("watch")
    host = Path(folder_paths.__file__).parent
    runs = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-I", "-c", WATCH, str(ROOT), str(host), str(scratch)],
            capture_output=True,
            text=True,
            cwd=scratch,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return min(runs, key=lambda r: r["seconds"])


def test_the_entry_point_gives_the_list_of_nodes() -> None:
    extension = asyncio.run(region_drag_editing.comfy_entrypoint())
    assert isinstance(extension, ComfyExtension)
    nodes = asyncio.run(extension.get_node_list())
    assert isinstance(nodes, list) and all(issubclass(n, io.ComfyNode) for n in nodes)
    ids = [n.define_schema().node_id for n in nodes]
    assert len(set(ids)) == len(ids) and all(i.startswith("Drag") for i in ids)


def test_the_repository_is_not_on_the_path() -> None:
    assert str(ROOT) not in [str(Path(p).resolve()) for p in sys.path]
    import server

    import nodes

    assert not Path(str(nodes.__file__)).is_relative_to(ROOT)
    assert not Path(str(server.__file__)).is_relative_to(ROOT)


def test_the_pack_registers_no_route() -> None:
    """The host's own loader takes the checkout in, beside a server that knows all of its routes by then."""
    import server

    import nodes

    loop = asyncio.new_event_loop()
    try:
        host = server.PromptServer(loop)
        before = [str(r) for r in host.routes] + [str(r) for r in host.app.router.routes()]
        host.routes.get("/watched")(lambda request: None)
        assert len([*host.routes]) + len([*host.app.router.routes()]) == len(before) + 1  # the watch works
        before += [str(r) for r in [*host.routes][-1:]]
        assert loop.run_until_complete(nodes.load_custom_node(str(ROOT)))
        after = [str(r) for r in host.routes] + [str(r) for r in host.app.router.routes()]
        assert sorted(after) == sorted(before)
    finally:
        loop.close()


def test_loading_the_pack_is_quick(facts: dict[str, Any]) -> None:
    print("seconds of processor time beyond the host's own modules:", facts["seconds"])
    assert facts["seconds"] <= SECONDS


def test_loading_the_pack_loads_nothing_else(facts: dict[str, Any]) -> None:
    """No library but those that the host has loaded by then: they are what makes a start slow."""
    assert set(facts["new"]) <= {region_drag_editing.__name__, "comfyui_version"}


def test_loading_the_pack_touches_nothing(facts: dict[str, Any]) -> None:
    assert facts["caught"] == 2, "the watch sees nothing"
    assert facts["seen"] == []
    assert facts["same"] and facts["path"] and facts["env"]

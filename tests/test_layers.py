"""The rules of direction: who may import what, read from the syntax trees.

Each is shown to fail on a text that breaks it.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]

HOST = {
    *("comfy", "comfy_api", "comfy_extras", "comfy_execution"),
    *("folder_paths", "nodes", "execution", "server"),
}
OURS_ABOVE = {"tools", "tests"}
LIBRARIES = {"diffusers", "peft", "transformers"}
UNSAFE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
NETWORK = {"requests", "urllib", "urllib3", "socket", "http", "httpx", "aiohttp", "ftplib", "huggingface_hub"}
LOADS = ("importlib.import_module", "import_module", "__import__")
ASKS = "nodes/mllm_client.py"  # the one file that asks a server
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
ENVIRONMENT = {"os.environ", "os.getenv", "os.environb", "sys.argv", "sys.stdin"}
READS = {"open", "input", "read_text", "read_bytes", "safe_open", "load_file", "imread", "from_pretrained"}
MODEL_NAMES = re.compile(r"\bflux|stable.?diffusion|\bsd(xl|\b|[ _-]?\d)", re.IGNORECASE)


def imports(tree: ast.AST, path: str) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import in a file at `path` (from the root, with /), relative ones made
    absolute.
    """
    package = PurePosixPath(path).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            if node.level > len(package):
                yield node.lineno, "<above the root>"
                continue
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{a.name}" if module else a.name) for a in node.names)
        elif isinstance(node, ast.Call) and dotted(node.func) in LOADS:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def dotted(node: ast.AST) -> str:
    """`a.b.c` as text; the last name only where what stands before it is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else node.attr
    return ""


def can_unpickle(call: ast.Call) -> bool:
    """Whether a call may run what a file holds: torch.load may not with a literal weights_only=True."""
    safe = any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in call.keywords)
    return dotted(call.func) in ("np.load", "numpy.load") or (dotted(call.func) == "torch.load" and not safe)


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs when the module is imported: class bodies, defaults and decorators, but
    no body of a function.
    """
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        inner = [*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d)]
    elif isinstance(node, ast.Lambda):
        inner = [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]
    elif isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
        inner = list(node.orelse)
    else:
        yield node
        inner = list(ast.iter_child_nodes(node))
    for child in inner:
        yield from at_import(child)


def core_errors(source: str, path: str) -> list[str]:
    """What breaks the rules in the text of one file of drag_core; `path` is from the root, as
    drag_core/drag.py.
    """
    tree, out = ast.parse(source), []

    def add(line: int, what: str) -> None:
        out.append(f"{path}:{line}: {what}")

    inside = path.removeprefix("drag_core/")
    may_use_libraries = inside == "lora.py" or inside.startswith(("backends/", "adapters/"))
    is_triton = re.fullmatch(r"kernels/[^/]+/triton\w*\.py", inside) is not None
    for line, module in imports(tree, path):
        top = module.split(".")[0]
        if top in HOST | OURS_ABOVE or top == "<above the root>":
            add(line, f"drag_core imports {module}")
        if top in LIBRARIES and not may_use_libraries:
            add(line, f"{top} outside backends/, adapters/ and lora.py")
        if top == "triton" and not is_triton:
            add(line, "triton outside kernels/*/triton*.py")
        if top in UNSAFE | NETWORK:
            add(line, f"imports {module}")
        if inside.startswith("backends/") and module.split(".")[:2] in (
            ["drag_core", "drag"],
            ["drag_core", "recipes"],
        ):
            add(line, f"a backbone knows of drags: {module}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RUNS_TEXT:
            add(node.lineno, f"calls {node.func.id}")
        if isinstance(node, ast.Call) and can_unpickle(node):
            add(node.lineno, f"calls {dotted(node.func)}, which can unpickle")
    for node in at_import(tree):
        if isinstance(node, ast.Call) and dotted(node.func).rsplit(".", 1)[-1] in READS:
            add(node.lineno, f"{dotted(node.func)} at import")
        elif isinstance(node, ast.Call) and dotted(node.func).startswith(("torch.cuda.", "torch.backends.")):
            add(node.lineno, f"asks for devices at import: {dotted(node.func)}")
        elif isinstance(node, ast.Attribute) and dotted(node) in ENVIRONMENT:
            add(node.lineno, f"{dotted(node)} at import")
    if inside == "drag.py":
        for number, text in enumerate(source.splitlines(), 1):
            if found := MODEL_NAMES.search(text):
                add(number, f"drag.py names a model: {found[0]}")
    return out


def node_errors(source: str, path: str) -> list[str]:
    """The same for a file of nodes/: relative imports only, and comfy's internals only in nodes/host/."""
    out = []
    tree = ast.parse(source)
    absolute = {
        n.lineno
        for n in ast.walk(tree)
        if isinstance(n, ast.Import) or (isinstance(n, ast.ImportFrom) and not n.level)
    }
    for line, module in imports(tree, path):
        top = module.split(".")[0]
        if top in {"drag_core", "nodes"} and line in absolute:
            out.append(f"{path}:{line}: absolute import of the pack's own {module}")
        if top in {"comfy", "comfy_extras", "execution", "server"} and not path.startswith("nodes/host/"):
            out.append(f"{path}:{line}: {module} outside nodes/host/")
        if top in LIBRARIES | OURS_ABOVE:
            out.append(f"{path}:{line}: a node imports {module}")
        if top in NETWORK - {"urllib"} and path != ASKS:
            out.append(f"{path}:{line}: {module} outside {ASKS}")
        if module.startswith("urllib.request"):
            out.append(f"{path}:{line}: {module}, which follows redirects and proxies")
    return out


def errors(root: Path) -> list[str]:
    out = []
    for folder, check in (("drag_core", core_errors), ("nodes", node_errors)):
        for file in sorted((root / folder).rglob("*.py")):
            out += check(file.read_text(encoding="utf-8"), file.relative_to(root).as_posix())
    return out


def test_the_tree_keeps_the_rules() -> None:
    assert (ROOT / "drag_core/drag.py").exists() and (ROOT / "nodes/__init__.py").exists()
    assert errors(ROOT) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("masks.py", "import comfy.model_management"),
        ("masks.py", "from comfy import utils"),
        ("masks.py", "def f():\n    import folder_paths"),
        ("masks.py", "import nodes"),
        ("bench/demo.py", "from ...nodes import editor"),
        ("bench/demo.py", "from ... import nodes"),
        ("masks.py", "from .. import tools"),
        ("bench/demo.py", "from ...... import x"),
        ("masks.py", "import importlib\nimportlib.import_module('comfy.sd')"),
        ("bench/cases.py", "from tools.embedded import data"),
        ("masks.py", "import tests.core"),
        ("masks.py", "if TYPE_CHECKING:\n    import diffusers"),
        ("edit.py", "def f():\n    from transformers import CLIPTextModel"),
        ("supervise.py", "import peft"),
        ("kernels/lookup/__init__.py", "import triton"),
        ("kernels/triton.py", "import triton.language as tl"),
        ("backends/hooks.py", "from ..drag import Recipe"),
        ("backends/hooks.py", "from ..recipes import dragflow"),
        ("task.py", "import pickle"),
        ("task.py", "from pickle import loads"),
        ("task.py", "import torch\nx = lambda p: torch.load(p)"),
        ("task.py", "import torch\nx = lambda p: torch.load(p, weights_only=False)"),
        ("task.py", "import torch\nx = lambda p, w: torch.load(p, weights_only=w)"),
        ("task.py", "import urllib.request"),
        ("task.py", "import socket"),
        ("task.py", "import requests"),
        ("task.py", "def f(x):\n    return eval(x)"),
        ("task.py", "exec('1')"),
        ("task.py", "import os\nDEBUG = os.environ.get('DEBUG')"),
        ("task.py", "import os\ndef f(x=os.getenv('DEBUG')): ..."),
        ("task.py", "import sys\nclass A:\n    x = sys.argv[1]"),
        ("task.py", "TEXT = open('x').read()"),
        ("task.py", "from pathlib import Path\nTEXT = Path('x').read_text()"),
        ("task.py", "try:\n    x = [open(n) for n in ('a',)]\nexcept OSError:\n    pass"),
        ("task.py", "import torch\nGPU = torch.cuda.is_available()"),
        ("drag.py", "# as FLUX does"),
        ("drag.py", "def f():\n    'for SD1.5'"),
        ("drag.py", "SDXL = 1"),
    ],
)
def test_a_broken_rule_is_found(tmp_path: Path, path: str, source: str) -> None:
    file = tmp_path / "drag_core" / path
    file.parent.mkdir(parents=True)
    file.write_text("import math\n")
    assert errors(tmp_path) == []
    file.write_text(source)
    assert len(errors(tmp_path)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("backends/diffusers_unet.py", "from diffusers import UNet2DConditionModel"),
        ("lora.py", "def f():\n    import peft"),
        ("adapters/ip_adapter.py", "import transformers"),
        ("kernels/lookup/triton.py", "import triton"),
        ("kernels/lookup/triton_ends.py", "import triton"),
        ("task.py", "import re\nP = re.compile('x')\ndef f(m):\n    return m.eval(), open('x')"),
        (
            "__main__.py",
            "import sys\ndef main(): return sys.argv\nif __name__ == '__main__':\n    print(sys.argv)",
        ),
        ("bench/demo.py", "from ..types import Grid\nfrom . import cases"),
        ("task.py", "import torch\nx = lambda p: torch.load(p, weights_only=True)"),
        ("drag.py", "std, usd, influx = 1, 2, 3  # none of these is a model"),
    ],
)
def test_what_the_rules_allow(tmp_path: Path, path: str, source: str) -> None:
    file = tmp_path / "drag_core" / path
    file.parent.mkdir(parents=True)
    file.write_text(source)
    assert errors(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("editor.py", "import comfy.utils"),
        ("editor.py", "from drag_core import drag"),
        ("host/backbones/flux.py", "import drag_core.types"),
        ("editor.py", "from nodes import convert"),
        ("editor.py", "import diffusers"),
        ("editor.py", "import socket"),
        ("host/optimise.py", "def f():\n    from http.client import HTTPConnection"),
        ("mllm_client.py", "import urllib.request"),
        ("mllm.py", "import requests"),
    ],
)
def test_a_broken_rule_of_the_nodes_is_found(tmp_path: Path, path: str, source: str) -> None:
    file = tmp_path / "nodes" / path
    file.parent.mkdir(parents=True)
    up = "." * (1 + len(Path(path).parts))
    file.write_text(
        f"from comfy_api.latest import io\nfrom {up}drag_core import drag\nfrom .convert import x\n"
    )
    assert errors(tmp_path) == []
    file.write_text(source)
    assert len(errors(tmp_path)) == 1


LOAD = """
import importlib.util, json, sys
from pathlib import Path
root = Path(sys.argv[1])
spec = importlib.util.spec_from_file_location(
    "pack-under-test", root / "__init__.py", submodule_search_locations=[str(root)]
)
pack = sys.modules["pack-under-test"] = importlib.util.module_from_spec(spec)
before = set(sys.modules)
spec.loader.exec_module(pack)
loaded = sorted(set(sys.modules) - before)
said = {"loaded": loaded, "web": (root / pack.WEB_DIRECTORY).is_dir()}
said |= {"entry": callable(pack.comfy_entrypoint), "v1": hasattr(pack, "NODE_CLASS_MAPPINGS")}
print(json.dumps(said))
"""


def test_importing_the_pack_loads_nothing(tmp_path: Path) -> None:
    """As ComfyUI does, from the file and outside the root. Its nodes need the real host: tests/host."""
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", LOAD, str(ROOT)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said == {"loaded": [], "web": True, "entry": True, "v1": False}

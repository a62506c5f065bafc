"""The JavaScript of web/: what it must not do, read from its text, and its own tests, run by Node.

Each rule is shown to fail on a text that breaks it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NODE = shutil.which("node")
LEAST_NODE = 20

MARKUP = re.compile(
    r"\b(inner|outer)HTML\b|\binsertAdjacentHTML\b|\bsetHTML(Unsafe)?\b|\bdocument\s*\.\s*write(ln)?\b"
    r"|\bcreateContextualFragment\b|\bDOMParser\b|\bsrcdoc\b|javascript:|setAttribute\(\s*['\"`]on"
)
CODE = re.compile(r"\beval\s*\(|\bFunction\s*\(|\bset(Timeout|Interval)\s*\(\s*['\"`]")
NETWORK = re.compile(
    r"(?<!\w)fetch\s*\(|\b(XMLHttpRequest|WebSocket|EventSource|WebTransport|sendBeacon|importScripts)\b"
)
ELSEWHERE = re.compile(r"(https?:)?//(?!www\.w3\.org/)[\w.-]+\.\w|\bfrom\s+['\"`]//")
HOST = re.compile(r"['\"`][./]*/scripts/")


def errors(source: str, path: str) -> list[str]:
    """What breaks the rules in the text of one file; `path` is from the root, as web/lib/geometry.js."""
    adapter = not path.startswith("web/lib/") or path.startswith("web/lib/host/")
    rules = [
        (MARKUP, "makes markup from text: use textContent"),
        (CODE, "runs text as code"),
        (ELSEWHERE, "names another server"),
    ]
    if path != "web/drag_editor.js":
        rules.append((NETWORK, "talks to the network"))
    if not adapter:
        rules.append((HOST, "imports the host outside its adapter"))
    return [
        f"{path}:{number}: {what}: {found[0]}"
        for number, line in enumerate(source.splitlines(), 1)
        for rule, what in rules
        if (found := rule.search(line))
    ]


def test_the_tree_keeps_the_rules() -> None:
    files = sorted((ROOT / "web").rglob("*.js"))
    assert len(files) > 10
    found = [e for f in files for e in errors(f.read_text("utf-8"), f.relative_to(ROOT).as_posix())]
    assert found == []


def test_every_script_is_one_that_the_host_serves_afresh() -> None:
    """Only .js and .css are served with no-store: any other module would outlive an upgrade of the pack."""
    assert [f.name for f in (ROOT / "web").rglob("*") if f.suffix in (".mjs", ".cjs", ".ts")] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("web/lib/a.js", "el.innerHTML = label"),
        ("web/drag_editor.js", "el['outerHTML'] = label"),
        ("web/lib/a.js", "el.insertAdjacentHTML('beforeend', x)"),
        ("web/lib/a.js", "document.write(x)"),
        ("web/lib/a.js", "new DOMParser().parseFromString(x, 'text/html')"),
        ("web/lib/a.js", "frame.srcdoc = x"),
        ("web/lib/a.js", "a.href = 'javascript:alert(1)'"),
        ("web/lib/a.js", "el.setAttribute('onclick', x)"),
        ("web/drag_editor.js", "eval (x)"),
        ("web/lib/a.js", "const f = new Function('a', x)"),
        ("web/lib/a.js", "setTimeout('x()', 5)"),
        ("web/lib/a.js", "await fetch('/prompt')"),
        ("web/drag_text.js", "window.fetch(url)"),
        ("web/lib/a.js", "new XMLHttpRequest()"),
        ("web/lib/a.js", "navigator.sendBeacon('/x')"),
        ("web/lib/a.js", "import x from 'https://cdn.example.org/x.js'"),
        ("web/drag_editor.js", "import('//cdn.example.org/x.js')"),
        ("web/lib/editor/a.js", "import { app } from '../../../../scripts/app.js'"),
    ],
)
def test_a_broken_rule_is_found(path: str, source: str) -> None:
    assert len(errors(f"const a = 1\n{source}\n", path)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("web/drag_editor.js", "await fetch(api.apiURL('/view'))"),
        ("web/lib/host/a.js", "import { app } from '../../../../scripts/app.js'"),
        ("web/lib/a.js", "await api.fetchApi('/queue') // from the adapter"),
        ("web/lib/a.js", "document.createElementNS('http://www.w3.org/2000/svg', 'svg')"),
        ("web/lib/a.js", "/** @type {import('./geometry.js').Motion} */"),
        ("web/lib/a.js", "setTimeout(() => evaluate(x), 5) // see core/geometry.js"),
    ],
)
def test_what_is_allowed_is_not_found(path: str, source: str) -> None:
    assert errors(source, path) == []


def node_version() -> int:
    if NODE is None:
        return 0
    said = subprocess.run([NODE, "--version"], capture_output=True, text=True, timeout=60).stdout
    return int(found[1]) if (found := re.match(r"v(\d+)", said)) else 0


@pytest.mark.skipif(
    node_version() < LEAST_NODE,
    reason=f"the JavaScript tests need Node {LEAST_NODE} or newer on the path: see https://nodejs.org",
)
def test_the_javascript_tests_pass() -> None:
    files = sorted(str(f) for f in (ROOT / "tests" / "js").glob("*.test.mjs"))
    assert NODE and len(files) >= 5
    env = {k: v for k, v in os.environ.items() if k not in ("NODE_OPTIONS", "NODE_TEST_CONTEXT")}
    run = subprocess.run(
        [NODE, "--test", *files], cwd=ROOT, env=env, capture_output=True, text=True, timeout=600
    )
    failed = [line for line in run.stdout.splitlines() if re.search(r"not ok|error:|✖", line)]
    assert run.returncode == 0, "\n".join([*failed[:40], run.stdout[-3000:], run.stderr[-2000:]])
    assert re.search(r"^\S+ pass [1-9]\d", run.stdout, re.MULTILINE), run.stdout[-500:]

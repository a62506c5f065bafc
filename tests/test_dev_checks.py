"""dev.py's checks: which run, what a failing one does, and the exit codes of commands."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and links as POSIX has them")


@pytest.mark.parametrize("cuda", [False, True])
def test_cuda_tells_the_host_tests_and_is_no_folder(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cuda: bool
) -> None:
    told: dict[str, object] = {}

    def run(argv: list[str], env: dict[str, str] | None = None, cwd: object = None) -> int:
        told[argv[-1]] = env and env.get("DRAG_CUDA")
        return 0

    monkeypatch.setattr(dev, "run", run)
    monkeypatch.setattr(dev, "tsc", lambda: 0)
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    (tmp_path / "tests" / "host").mkdir(parents=True)
    assert dev.test("py", ["host", "cuda"] if cuda else ["host"], []) == 0
    assert told.keys() == {dev.MACHINE, ".", "drag_core", "region_drag_editing.nodes", "tests/host", "-q"}
    assert told["tests/host"] == ("1" if cuda else None)


@pytest.mark.parametrize("bad", ["ruff", "mypy", "tsc", "pytest"])
def test_one_failing_check_fails_the_whole_and_stops_none(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    seen: list[str] = []

    def run(argv: list[str], **kw: object) -> int:
        seen.append(argv[2])
        return int(argv[2] == bad)

    def tsc() -> int:
        seen.append("tsc")
        return int(bad == "tsc")

    monkeypatch.setattr(dev, "run", run)
    monkeypatch.setattr(dev, "tsc", tsc)
    assert dev.test("py", [], []) == 1
    assert seen == [dev.MACHINE, "ruff", "ruff", "mypy", "mypy", "tsc", "pytest"]


@posix
def test_mypy_sees_nodes_in_the_pack_whatever_the_checkouts_folder_is_called(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through a link that is gone afterwards; where none can be made the check is left out and says so."""
    root, seen = tmp_path / "a-clone of v1.0", list[Path]()
    (root / "nodes").mkdir(parents=True)

    def run(argv: list[str], env: object = None, cwd: Path = ROOT) -> int:
        assert (cwd / "region_drag_editing" / "nodes").samefile(root / "nodes")
        seen.append(cwd)
        return 1

    monkeypatch.setattr(dev, "run", run)
    monkeypatch.setattr(dev, "ROOT", root)
    assert dev.mypy_nodes("py") == 1 and not seen[0].exists() and (root / "nodes").is_dir()

    def refused(*args: object, **kw: object) -> None:
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refused)
    assert dev.mypy_nodes("py") == 0 and len(seen) == 1
    assert capsys.readouterr().out == "No link can be made here: going on without mypy over nodes/.\n"


@pytest.fixture
def node(dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """A checkout with a lock, and a Node whose npm makes node_modules; the commands that ran."""
    seen: list[list[str]] = []

    def run(argv: list[str], env: object = None, cwd: Path | None = None) -> int:
        seen.append(argv)
        if argv[0] == "npm" and cwd:
            (cwd / "node_modules").mkdir(exist_ok=True)
        return 0

    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "run", run)
    monkeypatch.setattr(dev.shutil, "which", lambda name: name)
    (tmp_path / "tests" / "tsc").mkdir(parents=True)
    (tmp_path / "tests" / "tsc" / "package-lock.json").write_text("{}")
    return seen


def test_tsc_runs_and_is_installed_once(dev: ModuleType, node: list[list[str]], tmp_path: Path) -> None:
    """And anew when the lock changes."""
    home = tmp_path / "tests" / "tsc"
    check = ["node", str(home / "node_modules" / "typescript" / "bin" / "tsc"), "--project", str(tmp_path)]
    assert dev.tsc() == dev.tsc() == 0
    assert [c[:2] for c in node[:1]] == [["npm", "ci"]] and node[1:] == [check, check]
    (home / "package-lock.json").write_text('{"lockfileVersion": 3}')
    assert dev.tsc() == 0
    assert [c[0] for c in node[3:]] == ["npm", "node"]


@pytest.mark.parametrize("broken", ["npm", "node"])
def test_a_failing_tsc_is_counted_and_a_failed_install_tried_again(
    dev: ModuleType,
    node: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    broken: str,
) -> None:
    good = dev.run
    monkeypatch.setattr(dev, "run", lambda argv, **k: good(argv, **k) or int(argv[0] == broken))
    assert dev.checks("py") == ["tsc"] and dev.checks("py") == ["tsc"]
    assert "tsc FAILED\n" in capsys.readouterr().out
    tools = [c[0] for c in node if c[0] in ("npm", "node")]
    assert tools == (["npm", "npm"] if broken == "npm" else ["npm", "node", "node"])


@pytest.mark.parametrize("missing", ["node", "npm"])
def test_without_node_or_npm_one_line_says_how_to_get_it(
    dev: ModuleType,
    node: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    missing: str,
) -> None:
    monkeypatch.setattr(dev.shutil, "which", lambda name: None if name == missing else name)
    assert dev.tsc() == 0 and node == []
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and "https://nodejs.org" in out


TSC = ROOT / "tests" / "tsc" / "node_modules" / "typescript" / "bin" / "tsc"


@pytest.mark.skipif(not (TSC.exists() and shutil.which("node")), reason="dev.py test installs TypeScript")
def test_tsc_finds_what_is_wrong_with_an_editor(tmp_path: Path) -> None:
    types = (ROOT / "web" / "lib" / "editor" / "types.js").as_posix()
    project = {"extends": str(ROOT / "tsconfig.json"), "include": ["*.js", str(ROOT / "tests/tsc/*.d.ts")]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(project))
    (tmp_path / "bad.js").write_text(
        f"/** @param {{import('{types}').Editor}} ed */\n"
        "export const wrong = (ed) => [ed.setTool('brsh'), ed.image.width, ed.sell]\n"
        "export const untyped = (x) => x\n"
    )
    argv = ["node", str(TSC), "--project", str(tmp_path), "--pretty", "false"]
    said = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=300).stdout
    assert re.findall(r"^bad\.js\((\d),\d+\): error TS(\d+)", said, re.MULTILINE) == [
        ("2", "2345"),
        ("2", "18047"),
        ("2", "2551"),
        ("3", "7006"),
    ], said
    assert len(said.splitlines()) == 4, said


def test_the_checks_begin_with_what_rounding_depends_on(dev: ModuleType) -> None:
    argv = [sys.executable, "-c", dev.MACHINE]
    env = {**os.environ, "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"}
    said = subprocess.run(argv, capture_output=True, text=True, env=env, check=True).stdout
    processor, capability, versions = said.splitlines()
    assert re.fullmatch(r"processor .*\S x \d+", processor)
    assert re.fullmatch(r"capability (DEFAULT|NO AVX) threads 1", capability)
    assert versions.startswith("torch ") and " python 3." in versions


def test_exit_codes_of_commands(dev: ModuleType) -> None:
    assert dev.run([sys.executable, "-c", "raise SystemExit(7)"]) == 7


@posix
def test_a_command_killed_by_a_signal(dev: ModuleType) -> None:
    assert (
        dev.run([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"])
        == 128 + signal.SIGTERM
    )


@posix
def test_ctrl_c_is_130_without_a_traceback(tmp_path: Path) -> None:
    """A Ctrl-C in the terminal reaches dev.py and the command that it runs, both in one process group."""
    code = (
        "import importlib.util as u, sys\n"
        f"s = u.spec_from_file_location('dev', {str(ROOT / 'dev.py')!r}); m = u.module_from_spec(s); "
        f"s.loader.exec_module(m)\n"
        "m.prepare = lambda: sys.executable\n"
        "m.demo = lambda python, rest: m.run([python, '-c', 'import time, signal;"
        " signal.signal(signal.SIGINT, signal.SIG_DFL); print(1, flush=True); time.sleep(60)'])\n"
        "sys.exit(m.main(['demo']))\n"
    )
    pipe = subprocess.PIPE
    argv = [sys.executable, "-c", code]
    process = subprocess.Popen(
        argv,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
        cwd=tmp_path,
        # as at a terminal: what a script starts in the background ignores it, and passes that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout and process.stdout.readline() == "1\n"
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "Stopped.\n")

"""The demo and the checks in one command: python dev.py demo | test. Makes .venv beside itself once.

Standard library only.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from venv import EnvBuilder

if sys.version_info < (3, 10):  # noqa: UP036  (for this sentence the file keeps to syntax that 3.6 reads)
    sys.exit("dev.py needs Python 3.10 or newer; this is Python {}.{}.".format(*sys.version_info[:2]))

ROOT = Path(__file__).resolve().parent
REQUIREMENTS = ROOT / "constraints.txt"
VENV = ROOT / ".venv"
NEWER = "torch-2.14"  # constraints-torch-2.14.txt: in torch's place, in a .venv-torch-2.14 beside the other
EXTRAS = ("host", "browser", "kernels")
CUDA = "--cuda"
PACK = "region_drag_editing"  # as pyproject.toml calls the pack where it is checked
USAGE = """usage: python dev.py demo [--out DIR]
       python dev.py test [--host [--cuda]] [--browser] [--kernels] [--torch-2.14] [arguments of pytest]

demo   drags objects of generated scenes with the embedded models and writes pictures to out/demo
test   ruff, ruff format, mypy --strict over drag_core and nodes, tsc (where there is a Node.js) and pytest;
--host and --browser also run the tests that need a ComfyUI or a browser, --kernels those of the GPU kernels,
on Linux and in .venv-kernels; --host --cuda runs the tests in ComfyUI's process in its two ways with a card
(a machine without one rehearses them)
Both install the pinned requirements of constraints.txt into .venv on first use; with --torch-2.14 that torch
and all else as pinned, into .venv-torch-2.14."""
# What a result that hangs on rounding depends on.
MACHINE = """import os, platform, torch
try:
    names = [x.split(":")[1].strip() for x in open("/proc/cpuinfo") if x.startswith("model name")]
except OSError:
    names = []
print("processor", (names or [platform.processor() or platform.machine()])[0], "x", os.cpu_count())
print("capability", torch.backends.cpu.get_cpu_capability(), "threads", torch.get_num_threads())
print("torch", torch.__version__, "python", platform.python_version())"""


class Stop(Exception):
    """One sentence for the user, and the exit code."""

    def __init__(self, sentence: str, code: int = 2) -> None:
        super().__init__(sentence)
        self.code = code


def parse(argv: list[str]) -> tuple[str, list[str], list[str]]:
    """Command, chosen extra test folders, and what goes on to the program behind the command."""
    commands = ("demo", "test")
    if not argv:
        raise Stop("dev.py needs a command: demo or test (python dev.py --help says more).")
    command, rest = argv[0], argv[1:]
    if command not in commands:
        raise Stop(f"dev.py has no command {command!r}: use demo or test (python dev.py --help says more).")
    flags = {f"--{name}": name for name in EXTRAS}
    extras = [name for flag, name in flags.items() if flag in rest]
    if command == "demo" and extras:
        raise Stop(f"--{extras[0]} belongs to test, not to demo.")
    if CUDA in rest:
        if "host" not in extras:
            raise Stop(f"{CUDA} goes with test --host: it says how the tests in ComfyUI's process run.")
        extras.append("cuda")
    return command, extras, [a for a in rest if a not in flags and a != CUDA]


def python_of(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def stamp_of(requirements: Path) -> str:
    return hashlib.sha256(requirements.read_bytes()).hexdigest()


def installed(venv: Path, stamp: str) -> bool:
    """True if `venv` still has its Python and was completely installed from requirements with this stamp."""
    try:
        return python_of(venv).exists() and (venv / "installed").read_text() == stamp
    except OSError:
        return False


def run(argv: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> int:
    """The exit code of a command; 128 + n if signal n ended it.

    On Ctrl-C the command, which had it too, gets 5 s to end.
    """
    process = subprocess.Popen(argv, env=env, cwd=cwd)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    if code == -signal.SIGINT:
        raise KeyboardInterrupt
    return code if code >= 0 else 128 - code


def make(venv: Path, clear: bool) -> None:
    """In this process: the venv module run as a command ends in a traceback on Ctrl-C."""
    try:
        EnvBuilder(clear=clear, symlinks=os.name != "nt", with_pip=True).create(venv)
    except (OSError, subprocess.CalledProcessError):
        hint = "on Debian and Ubuntu it needs the package python3-venv"
        raise Stop(f"The virtual environment {venv} could not be made ({hint}).", 1) from None


def prepare(venv: Path = VENV, requirements: Path = REQUIREMENTS, newer: Path | None = None) -> str:
    """The Python of a `venv` that has the requirements; installs them if they are new or the last attempt
    did not end. The file `newer` stands in the place of the line of torch.
    """
    python, stamp = python_of(venv), stamp_of(requirements)
    wanted = ["-r", str(requirements)]
    if newer:
        stamp += stamp_of(newer)
        lines = requirements.read_text().splitlines()
        wanted = ["-r", str(newer), *(x for x in lines if x and not x.startswith(("#", "torch==")))]
    if installed(venv, stamp):
        return str(python)
    print(f"Installing the pinned requirements into {venv} (once; some minutes) ...", flush=True)
    (venv / "installed").unlink(missing_ok=True)
    make(venv, clear=not python.exists())  # a .venv whose Python went away is of no use
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    if run([str(python), "-m", "pip", "install", "--disable-pip-version-check", *quiet, *wanted]):
        raise Stop(f"The requirements in {requirements.name} could not be installed; pip says above why.", 1)
    (venv / "installed").write_text(stamp)
    return str(python)


def add(python: str, name: str, venv: Path = VENV) -> None:
    """What the extra tests need beyond constraints.txt: installed on their first use, by nobody else."""
    requirements, done = ROOT / f"constraints-{name}.txt", venv / f"installed-{name}"
    if not requirements.exists() or (done.exists() and done.read_text() == stamp_of(requirements)):
        return
    print(f"Installing {requirements.name} into {venv} (once) ...", flush=True)
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    if run([*pip, "-r", str(requirements)]) == 0:
        done.write_text(stamp_of(requirements))
    else:
        print(f"{requirements.name} could not be installed; the {name} tests will say what is missing.")


def for_kernels(python: str) -> str:
    """The Python of an environment of their own: triton, and a numpy that its interpreter takes."""
    requirements = ROOT / "constraints-kernels.txt"
    return prepare(ROOT / ".venv-kernels", requirements) if requirements.exists() else python


def tsc() -> int:
    """The exit code of TypeScript's checker over web/, installed on its first use from the pinned
    tests/tsc/package-lock.json; 0 and one line where there is no Node.
    """
    home = ROOT / "tests" / "tsc"
    lock, modules = home / "package-lock.json", home / "node_modules"
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        print("tsc needs Node.js and npm on the path (https://nodejs.org): going on without it.", flush=True)
        return 0
    done = modules / "installed"
    if not (done.exists() and done.read_text() == stamp_of(lock)):
        print(f"Installing TypeScript into {modules} (once) ...", flush=True)
        if run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=home):
            print("TypeScript could not be installed; npm says above why.", flush=True)
            return 1
        done.write_text(stamp_of(lock))
    return run([node, str(modules / "typescript" / "bin" / "tsc"), "--project", str(ROOT)], cwd=ROOT)


def checks(python: str) -> list[str]:
    """The names of those that failed."""
    known: list[tuple[str, Callable[[], int]]] = [
        ("ruff", partial(run, [python, "-m", "ruff", "check", "."], cwd=ROOT)),
        ("ruff format", partial(run, [python, "-m", "ruff", "format", "--check", "."], cwd=ROOT)),
        ("mypy", partial(run, [python, "-m", "mypy", "--strict", "drag_core"], cwd=ROOT)),
        ("mypy nodes", partial(mypy_nodes, python)),
        ("tsc", tsc),
    ]
    failed = []
    for name, check in known:
        print(f"== {name}", flush=True)
        if check():
            failed.append(name)
            print(f"{name} FAILED", flush=True)
    return failed


def demo(python: str, rest: list[str]) -> int:
    """In the caller's folder, so that a relative --out means what it says there."""
    here = ROOT.samefile(Path.cwd())
    out = [] if any(a.split("=")[0] in ("--out", "-h", "--help") for a in rest) else ["--out"]
    if out:
        out.append(str(Path("out", "demo") if here else ROOT / "out" / "demo"))
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return run([python, "-m", "drag_core", "demo", *out, *rest], env={**os.environ, "PYTHONPATH": path})


def mypy_nodes(python: str) -> int:
    """nodes/ imports `..drag_core`, so that mypy must see the checkout as a package; its folder may have any
    name, one with dashes too. So through a link of the pack's name; 0 where no link can be made.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            Path(folder, PACK).symlink_to(ROOT, target_is_directory=True)
        except OSError:  # Windows asks for a privilege
            print("No link can be made here: going on without mypy over nodes/.", flush=True)
            return 0
        settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
        return run([python, "-m", "mypy", "--strict", *settings, "-p", f"{PACK}.nodes"], cwd=Path(folder))


def test(python: str, extras: list[str], rest: list[str]) -> int:
    """Every check runs, whatever the one before said; pytest comes last, so that its counts end the
    output.
    """
    print("== machine", flush=True)
    run([python, "-c", MACHINE])
    failed = checks(python)
    folders: list[tuple[str, str, list[str]]] = []
    env = {**os.environ, "DRAG_CUDA": "1"} if "cuda" in extras else None  # tests/host/test_inside.py
    for name in (n for n in extras if n != "cuda"):  # each on its own: another sys.path than the core's tests
        if name == "kernels" and sys.platform != "linux":
            print("triton is for Linux: going on without the kernels tests.", flush=True)
        elif (ROOT / "tests" / name).is_dir():
            theirs = python
            if name == "kernels":
                theirs = for_kernels(python)
            else:
                add(python, name, Path(python).parent.parent)
            folders.append((f"pytest tests/{name}", theirs, [f"tests/{name}"]))
        else:
            print(f"There are no {name} tests yet (tests/{name}): going on without them.", flush=True)
    for name, runs, where in [*folders, ("pytest", python, [])]:
        print(f"== {name}", flush=True)
        code = run([runs, "-m", "pytest", "-q", *where, *rest], env=env, cwd=ROOT)
        if code:
            failed.append(f"{name} (exit code {code})")
    if failed and not failed[-1].startswith("pytest ("):
        print(f"FAILED: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def main(argv: list[str]) -> int:
    if argv and argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    try:
        command, extras, rest = parse(argv)
        if f"--{NEWER}" in rest:
            rest.remove(f"--{NEWER}")
            python = prepare(ROOT / f".venv-{NEWER}", newer=ROOT / f"constraints-{NEWER}.txt")
        else:
            python = prepare()
        return demo(python, rest) if command == "demo" else test(python, extras, rest)
    except Stop as e:
        print(e, file=sys.stderr)
        return e.code
    except OSError as e:
        print(f"dev.py could not go on: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

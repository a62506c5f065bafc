"""dev.py's arguments and stamps, with nothing installed: commands are recorded, not run."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

if sys.version_info >= (3, 11):
    import tomllib

ROOT = Path(__file__).resolve().parents[1]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and links as POSIX has them")


@pytest.fixture
def calls(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """dev.run replaced: every command ends with 0; dev.make: it makes the file of the venv's Python, no
    more; and dev.tsc, which test_dev_checks.py looks at.
    """
    seen: list[list[str]] = []

    def run(argv: list[str], env: object = None, cwd: object = None) -> int:
        seen.append(argv)
        return 0

    def make(venv: Path, clear: bool) -> None:
        seen.append(["make", "-m", "venv", *(["clear"] if clear else [])])
        python = dev.python_of(venv)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    monkeypatch.setattr(dev, "run", run)
    monkeypatch.setattr(dev, "make", make)
    monkeypatch.setattr(dev, "tsc", lambda: seen.append(["tsc"]) or 0)
    return seen


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    requirements = tmp_path / "with space" / "constraints.txt"
    requirements.parent.mkdir()
    requirements.write_text("six==1.16.0\n")
    return requirements.parent / ".venv", requirements


@pytest.mark.parametrize(
    ("argv", "want"),
    [
        (["demo"], ("demo", [], [])),
        (["demo", "--out", "x y"], ("demo", [], ["--out", "x y"])),
        (["test"], ("test", [], [])),
        (["test", "-k", "dev", "-x"], ("test", [], ["-k", "dev", "-x"])),
        (["test", "--kernels", "-x", "--host"], ("test", ["host", "kernels"], ["-x"])),
        (["test", "--browser"], ("test", ["browser"], [])),
        (["test", "--cuda", "-x", "--host"], ("test", ["host", "cuda"], ["-x"])),
    ],
)
def test_arguments(dev: ModuleType, argv: list[str], want: object) -> None:
    assert dev.parse(argv) == want


@pytest.mark.parametrize(
    "argv", [[], ["tset"], ["--out"], ["demo", "--host"], ["test ", "x"], ["test", "--cuda"]]
)
def test_bad_usage_is_one_sentence_and_installs_nothing(
    dev: ModuleType, calls: list[list[str]], capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert dev.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.endswith(".\n")
    assert calls == []


def test_help_names_the_commands(dev: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["--help"]) == 0
    assert "demo" in (text := capsys.readouterr().out) and "test" in text


def test_installs_once(dev: ModuleType, calls: list[list[str]], paths: tuple[Path, Path]) -> None:
    venv, requirements = paths
    python = dev.prepare(venv, requirements)
    assert python == str(dev.python_of(venv))
    assert [c[1:3] for c in calls] == [["-m", "venv"], ["-m", "pip"]]
    assert calls[1][0] == python and calls[1][-2:] == ["-r", str(requirements)]
    assert dev.prepare(venv, requirements) == python
    assert len(calls) == 2


def test_new_requirements_are_installed(
    dev: ModuleType, calls: list[list[str]], paths: tuple[Path, Path]
) -> None:
    venv, requirements = paths
    dev.prepare(venv, requirements)
    requirements.write_text("six==1.17.0\n")
    dev.prepare(venv, requirements)
    assert [c[1:3] for c in calls[2:]] == [["-m", "venv"], ["-m", "pip"]]
    assert "clear" not in calls[2]


def test_the_newer_torch_takes_the_place_of_the_pinned_one(
    dev: ModuleType, calls: list[list[str]], paths: tuple[Path, Path]
) -> None:
    """In an environment of its own, installed anew when either file changes; everything else as pinned."""
    venv, requirements = paths
    requirements.write_text('# why\ntorch==2.13.0\n\nsix==1.16.0; python_version >= "3.11"\n')
    newer = requirements.with_name("constraints-torch-2.14.txt")
    newer.write_text("torch==2.14.1\n")
    for _ in range(2):
        dev.prepare(venv, requirements, newer)
    assert [c[-3:] for c in calls[1:]] == [["-r", str(newer), 'six==1.16.0; python_version >= "3.11"']]
    newer.write_text("torch==2.14.2\n")
    dev.prepare(venv, requirements, newer)
    assert len(calls) == 4


def test_the_newer_torch_has_an_environment_of_its_own(
    dev: ModuleType, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("constraints.txt", "constraints-torch-2.14.txt", "constraints-browser.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "tests" / "browser").mkdir(parents=True)
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "REQUIREMENTS", tmp_path / "constraints.txt")
    assert dev.main(["test", "--torch-2.14", "--browser", "-x"]) == 0
    own = tmp_path / ".venv-torch-2.14"
    assert {c[0] for c in calls if c[0] not in ("make", "tsc")} == {str(dev.python_of(own))}
    assert (own / "installed-browser").exists() and calls[-1][1:] == ["-m", "pytest", "-q", "-x"]


def test_a_failed_install_is_tried_again(
    dev: ModuleType, calls: list[list[str]], paths: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    venv, requirements = paths
    dev.prepare(venv, requirements)
    requirements.write_text("no-such-thing==0\n")
    good = dev.run
    monkeypatch.setattr(dev, "run", lambda argv, **k: 1 if "pip" in argv else good(argv))
    with pytest.raises(dev.Stop, match="pip says above why"):
        dev.prepare(venv, requirements)
    assert not dev.installed(venv, dev.stamp_of(requirements))
    requirements.write_text(
        "six==1.16.0\n"
    )  # back to what had been installed before: it may be half replaced, so not trusted
    assert not dev.installed(venv, dev.stamp_of(requirements))


def test_extra_tests_bring_their_own_requirements_once(
    dev: ModuleType, calls: list[list[str]], paths: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    venv, requirements = paths
    venv.mkdir()
    monkeypatch.setattr(dev, "ROOT", requirements.parent)
    dev.add("py", "browser", venv)
    assert calls == []  # no file: nothing more is needed
    extra = requirements.with_name("constraints-browser.txt")
    extra.write_text("playwright==1.65.2\n")
    dev.add("py", "browser", venv)
    dev.add("py", "browser", venv)
    assert [c[-1] for c in calls] == [str(extra)]
    extra.write_text("playwright==1.66.0\n")
    monkeypatch.setattr(dev, "run", lambda argv, **k: 1)
    dev.add("py", "browser", venv)  # said, and no end: the tests themselves say what is missing
    monkeypatch.setattr(dev, "run", lambda argv, **k: calls.append(argv) or 0)
    dev.add("py", "browser", venv)
    assert len(calls) == 2


@posix
def test_a_venv_whose_python_went_away_is_made_anew(
    dev: ModuleType, calls: list[list[str]], paths: tuple[Path, Path]
) -> None:
    venv, requirements = paths
    dev.prepare(venv, requirements)
    python = dev.python_of(venv)
    python.unlink()
    python.symlink_to(venv / "gone")
    dev.prepare(venv, requirements)
    assert "clear" in calls[2]


def test_demo_gives_an_output_folder_unless_told(
    dev: ModuleType, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    dev.demo("py", [])
    monkeypatch.chdir(tmp_path)
    dev.demo("py", [])
    dev.demo("py", ["--out", "mine"])
    dev.demo("py", ["--out=mine"])
    assert [c[4:] for c in calls] == [
        ["--out", str(Path("out/demo"))],
        ["--out", str(ROOT / "out" / "demo")],
        ["--out", "mine"],
        ["--out=mine"],
    ]


def test_missing_extra_tests_are_said_and_left_out(
    dev: ModuleType,
    calls: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    (tmp_path / "tests" / "kernels").mkdir(parents=True)
    assert dev.test("py", ["host", "kernels"], ["-x"]) == 0
    assert "There are no host tests yet" in capsys.readouterr().out
    cache = str(tmp_path / ".mypy_cache")
    settings = ["--config-file", str(tmp_path / "pyproject.toml"), "--cache-dir", cache]
    assert calls == [
        ["py", "-c", dev.MACHINE],
        ["py", "-m", "ruff", "check", "."],
        ["py", "-m", "ruff", "format", "--check", "."],
        ["py", "-m", "mypy", "--strict", "drag_core"],
        ["py", "-m", "mypy", "--strict", *settings, "-p", "region_drag_editing.nodes"],
        ["tsc"],
        ["py", "-m", "pytest", "-q", "tests/kernels", "-x"],
        ["py", "-m", "pytest", "-q", "-x"],
    ]


def _names(text: str) -> list[str]:
    return [
        re.split(r"[=<>!~;\[ ]", line)[0].lower()
        for line in text.splitlines()
        if line.strip() and not line.startswith("#")
    ]


def test_the_pack_asks_for_nothing_that_the_host_owns() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [x for x in lines if not x.startswith("#")] == ["opencv-python-headless", "scikit-image"]


def test_the_environment_is_pinned() -> None:
    lines = [x for x in (ROOT / "constraints.txt").read_text().splitlines() if x and not x.startswith("#")]
    assert all(re.fullmatch(r'[a-z-]+==[\d.]+(; python_version (<|>=) "3\.11")?', x) for x in lines), lines
    assert "torch==2.13.0" in lines
    browser = (ROOT / "constraints-browser.txt").read_text().splitlines()
    (extra,) = (x for x in browser if x[:1] not in ("#", ""))
    assert re.fullmatch(r"playwright==[\d.]+", extra)
    kernels = (ROOT / "constraints-kernels.txt").read_text().splitlines()
    own = [x for x in kernels if x[:1] != "#"]
    assert (
        own[0] in lines
        and own[3] in lines
        and [x.split("==")[0] for x in own[1:3]] == ["triton", "numpy"]
        and own[4] in lines
    )
    newer = (ROOT / "constraints-torch-2.14.txt").read_text().splitlines()
    assert [x for x in newer if x[:1] != "#"] == ["torch==2.14.1", "torchvision==0.29.1"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_pyproject_says_what_requirements_say() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dependencies"] == _names((ROOT / "requirements.txt").read_text())
    assert project["project"]["license"] == {"text": "Apache-2.0"}
    assert (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License")
    assert (
        "web" not in project["tool"]["comfy"]
    )  # with WEB_DIRECTORY too, the host would load every script twice

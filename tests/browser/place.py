"""Where Chromium, Playwright and the frontends are on this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.host import place as host

CACHE = host.ROOT / "out" / "frontend"
SHOTS = host.ROOT / "out" / "browser"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """CHROMIUM_PATH, or the system's."""
    given = os.environ.get("CHROMIUM_PATH")
    if given:
        return given if Path(given).exists() else None
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def missing_host() -> str | None:
    return host.missing()


def missing_browser() -> str | None:
    """What is not there, and how to get it; None if all is."""
    if importlib.util.find_spec("playwright") is None:
        return f"no playwright: {sys.executable} -m pip install -r constraints-browser.txt"
    if chromium() is None:
        return "no Chromium: install the package chromium, or set CHROMIUM_PATH to the program"
    return None


def newest_frontend() -> tuple[Path | None, str]:
    """Folder of the newest frontend package, from the cache or PyPI, and its version; or None and why."""
    CACHE.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*argv, "-d", str(CACHE), "comfyui-frontend-package"], capture_output=True, text=True, timeout=300
        )
        why = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except subprocess.TimeoutExpired:
        why = ["pip took more than 300 s"]
    wheels = sorted(CACHE.glob("comfyui_frontend_package-*.whl"), key=version_of)
    if not wheels:
        return None, f"no newest frontend: {' '.join(why) or 'pip gave no wheel'}"
    folder = CACHE / wheels[-1].name.split("-")[1]
    if not (folder / "index.html").exists():
        with zipfile.ZipFile(wheels[-1]) as wheel:
            inside = "comfyui_frontend_package/static/"
            for name in wheel.namelist():
                if name.startswith(inside) and not name.endswith(("/", ".map")):
                    (folder / name.removeprefix(inside)).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name.removeprefix(inside)).write_bytes(wheel.read(name))
    return folder, folder.name


def version_of(wheel: Path) -> tuple[int, ...]:
    return tuple(int(n) for n in wheel.name.split("-")[1].split(".") if n.isdigit())

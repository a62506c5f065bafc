"""A real ComfyUI server with this checkout as its one pack, and a client for it.

It has a base folder of its own (--base-directory): models, inputs, outputs and settings of the user's ComfyUI
are neither seen nor written, and of custom nodes there is one, a link to this repository.
"""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import websocket
from PIL import Image

from tests.host.place import COMFYUI, PYTHON, ROOT, environment
from tests.host.told import Event, Prompt, Refused, Run

PACK = "region-drag-editing"
START = 240.0  # s; a start takes 25 to 75 s on a busy machine
ASKED = 60.0  # s for one answer
# What keeps the host off the network and out of its own folder; a version that lacks one is started without.
WISHES = (
    ("--disable-api-nodes",),
    ("--disable-auto-launch",),
    ("--database-url", "sqlite:///:memory:"),
    ("--dont-print-server",),
)
FOLDERS = ("custom_nodes", "input", "output", "temp", "user", "models")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def arguments(base: Path, port: int) -> list[str]:
    """Of main.py. An option that this version of ComfyUI doesn't know would end it."""
    known = (COMFYUI / "comfy" / "cli_args.py").read_text(encoding="utf-8")
    wished = [a for wish in WISHES if f'"{wish[0]}"' in known for a in wish]
    return ["--base-directory", str(base), "--listen", "127.0.0.1", "--port", str(port), *wished]


class Server:
    """`with Server(folder) as server:`; `folder` is empty and becomes its base. `more` goes on to main.py."""

    def __init__(self, folder: Path, more: tuple[str, ...] = (), seconds: float = START) -> None:
        self.base, self.more, self.seconds = folder, more, seconds
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        for name in FOLDERS:
            (self.base / name).mkdir(parents=True, exist_ok=True)
        (self.base / "custom_nodes" / PACK).symlink_to(ROOT, target_is_directory=True)
        boot = Path(__file__).with_name("boot.py")
        argv = [str(PYTHON), str(boot), str(COMFYUI), "--while-stdin-is-open", "--"]
        with open(self.base / "server.log", "wb") as log:
            self._process = subprocess.Popen(
                [*argv, *arguments(self.base, self.port), *self.more],
                cwd=self.base,
                env=environment() | {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,  # nothing is written: its end, also by our death, ends the server
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self) -> None:
        assert self._process is not None
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise AssertionError(
                    f"ComfyUI ended ({self._process.returncode}) at its start:\n{self.log()}"
                )
            try:
                self.get("/object_info", 30.0)
                return
            except (OSError, AssertionError):  # not there yet
                time.sleep(0.5)
        raise AssertionError(f"ComfyUI did not answer within {self.seconds:.0f} s:\n{self.log()}")

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None

    def log(self) -> str:
        """What the process wrote so far, without colours."""
        return re.sub(r"\x1b\[[\d;]*m", "", (self.base / "server.log").read_text(errors="replace"))

    def ask(
        self, path: str, body: bytes | None = None, kind: str = "application/json", seconds: float = ASKED
    ) -> tuple[int, bytes]:
        """Status and body of an answer, also of a refusal; POST if there is a body to send."""
        request = urllib.request.Request(self.url + path, data=body)
        if body is not None:
            request.add_header("Content-Type", kind)
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return int(answer.status), answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()

    def get(self, path: str, seconds: float = ASKED) -> Any:
        status, body = self.ask(path, seconds=seconds)
        assert status == 200, f"GET {path}: HTTP {status} {body[:1000]!r}"
        return json.loads(body)

    def object_info(self, node: str | None = None) -> dict[str, Any]:
        """Of all nodes by id, or of one; {} for a node that the host doesn't have."""
        info = self.get("/object_info" + (f"/{urllib.parse.quote(node)}" if node else ""))
        return dict(info.get(node, {}) if node else info)

    def post(
        self, prompt: Prompt, extra_data: dict[str, Any] | None = None, client: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Queue a prompt. 200 and {prompt_id, number, node_errors}, or 400 and {error, node_errors}."""
        body: dict[str, Any] = {"prompt": prompt, "client_id": client or uuid.uuid4().hex}
        if extra_data:
            body["extra_data"] = extra_data
        status, answer = self.ask("/prompt", json.dumps(body).encode())
        return status, json.loads(answer)

    def run(
        self,
        prompt: Prompt,
        timeout: float = 300.0,
        extra_data: dict[str, Any] | None = None,
        on_event: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> Run:
        """Queue a prompt and listen until it ends. Refused if it is not taken.

        `on_event` hears every event of it at once, to interrupt in the middle for example.
        """
        client = uuid.uuid4().hex
        ws = websocket.create_connection(f"ws://127.0.0.1:{self.port}/ws?clientId={client}", timeout=ASKED)
        events: list[Event] = []
        previews: list[bytes] = []
        try:
            start = time.monotonic()
            status, answer = self.post(prompt, extra_data, client)
            if status != 200:
                raise Refused(status, answer)
            prompt_id = str(answer["prompt_id"])
            while True:
                left = start + timeout - time.monotonic()
                if left <= 0:
                    self.interrupt()
                    last = events[-1] if events else None
                    raise AssertionError(
                        f"prompt not done in {timeout:.0f} s, last {last}:\n{self.log()[-4000:]}"
                    )
                ws.settimeout(min(left, 5.0))
                try:
                    message = ws.recv()
                except websocket.WebSocketTimeoutException:
                    continue
                if isinstance(message, bytes):
                    if (
                        message[:4] == b"\0\0\0\1"
                    ):  # a preview: 4 bytes more say JPEG or PNG, then the picture
                        previews.append(message[8:])
                    continue
                told = json.loads(message)
                name, data = told["type"], told["data"]
                if data.get("prompt_id") != prompt_id:
                    continue
                events.append((name, data))
                if on_event:
                    on_event(name, data)
                if name == "executing" and data["node"] is None:  # the last thing said of every prompt
                    return Run(prompt_id, tuple(events), tuple(previews), time.monotonic() - start, prompt)
        finally:
            ws.close()

    def drain(self) -> None:
        """Waits until nothing runs and nothing waits."""
        while any(self.get("/queue").values()):
            time.sleep(0.1)

    def interrupt(self) -> None:
        assert self.ask("/interrupt", b"{}")[0] == 200

    def history(self, prompt_id: str) -> dict[str, Any]:
        """prompt, outputs, status of a prompt that ended; {} before."""
        return dict(self.get(f"/history/{prompt_id}").get(prompt_id, {}))

    def upload(self, image: np.ndarray[Any, Any], name: str) -> str:
        """Put a picture (H, W[, 1, 3 or 4]), uint8 or floats in [0, 1], into the input folder; its name
        there.
        """
        pixels = image if image.dtype == np.uint8 else np.rint(image.clip(0, 1) * 255).astype(np.uint8)
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        edge = uuid.uuid4().hex
        parts = [
            f'--{edge}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n'.encode(),
            f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'.encode(),
            b"Content-Type: image/png\r\n\r\n" + file.getvalue() + f"\r\n--{edge}--\r\n".encode(),
        ]
        status, answer = self.ask("/upload/image", b"".join(parts), f"multipart/form-data; boundary={edge}")
        assert status == 200, f"upload of {name}: HTTP {status} {answer!r}"
        return str(json.loads(answer)["name"])

    def image(self, ref: dict[str, str]) -> np.ndarray[Any, Any]:
        """(H, W, C) uint8 of {filename, subfolder, type}, as an executed node names its pictures."""
        status, body = self.ask("/view?" + urllib.parse.urlencode(ref))
        assert status == 200, f"no picture {ref}: HTTP {status} {body[:200]!r}"
        pixels = np.asarray(Image.open(io.BytesIO(body)))
        return pixels[:, :, None] if pixels.ndim == 2 else pixels

    def packs(self) -> dict[str, bool]:
        """Folders of custom nodes that the host tried to load, and whether that worked, as its log says."""
        found = re.findall(r" [\d.]+ seconds( \(IMPORT FAILED\))?: (.+)$", self.log(), re.MULTILINE)
        return {os.path.normpath(path.strip()): not failed for failed, path in found}

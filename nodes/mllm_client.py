"""Asks a multimodal model that runs in a server: the one place of the pack that uses the network.

Nothing is sent before a node that was made for it runs. The server must be this machine, unless the
environment says DRAG_MLLM_ALLOW_REMOTE=1; a key comes from DRAG_MLLM_API_KEY alone, never from a widget,
which a workflow would carry on. No redirect is followed, no proxy used, no name looked up for this machine.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from ..drag_core.mllm.answer import beginning
from ..drag_core.types import DragError

Kind = Literal["ollama", "openai"]
REMOTE, KEY = "DRAG_MLLM_ALLOW_REMOTE", "DRAG_MLLM_API_KEY"
PATHS: dict[Kind, str] = {"ollama": "/api/chat", "openai": "/v1/chat/completions"}
MAX_BYTES = 2 * 1024 * 1024  # of an answer
# Runs the function beside the host's own thread for at most so many seconds; see nodes.host.waiting.
Wait = Callable[[Callable[[], Any], Callable[[], None], float], Any]


@dataclass(frozen=True)
class Mllm:
    """A model in a server, and how it shall answer.

    keep: the server keeps the model in memory after the answer (Ollama).
    """

    kind: Kind
    address: str
    model: str
    temperature: float
    seed: int
    seconds: float
    keep: bool

    def record(self) -> dict[str, Any]:
        """Returns what a result must say of its judge; there is no key in it."""
        return asdict(self)


@dataclass(frozen=True)
class Place:
    """Where a server listens."""

    secure: bool
    hosts: tuple[str, ...]  # tried in turn
    port: int
    path: str  # before that of the question
    named: str  # for sentences


@dataclass(frozen=True)
class Answer:
    """What a server gave: the model's text, and the name under which the model answered."""

    text: str
    model: str


def place_of(address: str) -> Place:
    """Reads an address; DragError where it is none, holds a password, or is another machine's unasked."""
    try:
        parts = urlsplit(address.strip())
        host, port = parts.hostname or "", parts.port
        odd = not address.strip().isascii() or any(c <= " " for c in address.strip())
    except ValueError:
        host, odd = "", True
    if odd or not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise DragError(
            "the address is not one of a server: write it as http://127.0.0.1:11434, without anything behind "
            "it but a path"
        )
    if parts.username is not None or parts.password is not None:
        raise DragError(
            "the address holds a name or a password, which the workflow would carry on: take them out and "
            f"set {KEY} in ComfyUI's environment"
        )
    secure = parts.scheme == "https"
    local = host == "localhost" or _is_loopback(host)
    if not local and os.environ.get(REMOTE) != "1":
        raise DragError(
            f"{host} is not this machine: pictures go to another one only if {REMOTE}=1 is set in ComfyUI's "
            "environment; else use a server on 127.0.0.1"
        )
    if not local and not secure and os.environ.get(KEY):
        raise DragError(f"{KEY} is set and {host} is asked over http, where all could read it: use https")
    hosts = ("127.0.0.1", "::1") if host == "localhost" else (host,)
    standard = 443 if secure else 80
    shown = f"[{host}]" if ":" in host else host
    named = f"{parts.scheme}://{shown}:{port or standard}"
    return Place(secure, hosts, port or standard, parts.path.rstrip("/"), named)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def body_of(mllm: Mllm, question: str, pictures: Sequence[bytes], schema: dict[str, Any]) -> dict[str, Any]:
    """Makes the request as the server's kind takes it; pictures: PNG files, in the question's order."""
    coded = [base64.b64encode(p).decode() for p in pictures]
    if mllm.kind == "ollama":
        return {
            "model": mllm.model,
            "messages": [{"role": "user", "content": question, "images": coded}],
            "format": schema,
            "stream": False,
            "options": {"temperature": mllm.temperature, "seed": mllm.seed},
            **({} if mllm.keep else {"keep_alive": 0}),  # the drag needs the memory
        }
    shown = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{c}"}} for c in coded]
    form = {"name": "answer", "strict": True, "schema": schema}
    return {
        "model": mllm.model,
        "messages": [{"role": "user", "content": [{"type": "text", "text": question}, *shown]}],
        "response_format": {"type": "json_schema", "json_schema": form},
        "stream": False,
        "temperature": mllm.temperature,
        "seed": mllm.seed,
    }


def ask(mllm: Mllm, question: str, pictures: Sequence[bytes], schema: dict[str, Any], wait: Wait) -> Answer:
    """Sends one question and returns the answer; DragError, in one sentence, for whatever goes wrong."""
    place = place_of(mllm.address)
    path = place.path + PATHS[mllm.kind]
    if mllm.kind == "openai" and place.path.endswith("/v1"):
        path = place.path + PATHS["openai"].removeprefix("/v1")
    data = json.dumps(body_of(mllm, question, pictures, schema)).encode()
    if not (key := os.environ.get(KEY, "")).isascii() or not key.isprintable():
        raise DragError(f"{KEY} holds characters that no key has: set it anew in ComfyUI's environment")
    call = _Call(place, path, data, mllm.seconds)
    try:
        status, raw = wait(call.run, call.stop, mllm.seconds)
    except TimeoutError:
        raise DragError(
            f"{place.named} did not answer within {mllm.seconds:g} s: raise timeout, or take a smaller model"
        ) from None
    except ConnectionRefusedError:
        raise DragError(f"nothing answers at {place.named}: start the server, or mend the address") from None
    except (OSError, http.client.HTTPException) as e:
        why = _without_key(str(e) or type(e).__name__)
        raise DragError(f"the connection to {place.named} failed: {why}") from None
    return _read(mllm, place, status, raw)


class _Call:
    """One POST, which another thread may stop."""

    def __init__(self, place: Place, path: str, data: bytes, seconds: float) -> None:
        self.place, self.path, self.data, self.seconds = place, path, data, seconds
        self.connection: http.client.HTTPConnection | None = None

    def run(self) -> tuple[int, bytes]:
        made = http.client.HTTPSConnection if self.place.secure else http.client.HTTPConnection
        for host in self.place.hosts:
            self.connection = made(host, self.place.port, timeout=self.seconds)
            try:
                self.connection.connect()
                break
            except ConnectionRefusedError:
                if host == self.place.hosts[-1]:
                    raise
        assert self.connection is not None
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if key := os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {key}"
        self.connection.request("POST", self.path, self.data, headers)
        response = self.connection.getresponse()
        raw = response.read(MAX_BYTES + 1)
        self.connection.close()
        return response.status, raw

    def stop(self) -> None:
        """Ends the waiting for bytes; `run` then raises in its own thread."""
        if self.connection is not None and self.connection.sock is not None:
            with suppress(OSError):
                self.connection.sock.shutdown(socket.SHUT_RDWR)
            self.connection.close()


def _read(mllm: Mllm, place: Place, status: int, raw: bytes) -> Answer:
    if len(raw) > MAX_BYTES:
        raise DragError(
            f"{place.named} answers with more than {MAX_BYTES} bytes, which is no answer of a model"
        )
    if 300 <= status < 400:
        raise DragError(
            f"{place.named} sends on to another address ({status}): write that one, if you trust it"
        )
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        data = None
    if status != 200:
        raise DragError(f"{place.named} refuses ({status}): {_reason(data, raw)}")
    try:
        message = data["message"] if mllm.kind == "ollama" else data["choices"][0]["message"]
        text, model = message["content"], data.get("model")
    except (TypeError, KeyError, IndexError, AttributeError):
        raise DragError(
            f"{place.named} does not answer as {mllm.kind} does (it begins {_shown(raw)}): choose the other "
            "server"
        ) from None
    if not isinstance(text, str):
        raise DragError(f"{place.named} answers without a text: {_shown(raw)}")
    return Answer(text, model if isinstance(model, str) else mllm.model)


def _reason(data: Any, raw: bytes) -> str:
    """Returns what a server says of an error, as Ollama and OpenAI put it."""
    said = data.get("error") if isinstance(data, dict) else None
    said = said.get("message") if isinstance(said, dict) else said
    return beginning(_without_key(said), 200) if isinstance(said, str) else _shown(raw)


def _shown(raw: bytes) -> str:
    return beginning(_without_key(raw[:2000].decode("utf-8", "replace")), 100)


def _without_key(text: str) -> str:
    key = os.environ.get(KEY)
    return text.replace(key, "***") if key else text

"""A server on this machine that answers as Ollama and OpenAI do, or as no server should."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

PROMPTS = [f"A tall tower stands in place {i}." for i in range(10)]
TASKS = ["relocation", "rotation", "deformation"]
GOOD = json.dumps(
    {
        "background_details": "A tower in a field.",
        "motion": "the tower leans",
        "candidates": [{"prompt": p, "task": TASKS[i % 3]} for i, p in enumerate(PROMPTS)],
    }
)


class MllmServer:
    """`with MllmServer(text) as server:`; `said`: the model's answer, or what makes it from a request.

    `raw` and `status` stand in for the whole answer; `wait`: seconds before it;
    `trickle`: one byte in 0.05 s.
    """

    def __init__(self, said: str | Callable[[dict[str, Any]], str] = GOOD) -> None:
        self.said = said
        self.raw: bytes | None = None
        self.status = 200
        self.headers: dict[str, str] = {}
        self.wait, self.trickle = 0.0, False
        self.asked: list[dict[str, Any]] = []
        self.told: list[tuple[str, dict[str, str]]] = []  # path and headers of every request
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body)
                outer.told.append((self.path, dict(self.headers)))
                time.sleep(outer.wait)
                data = outer.answer(self.path, body)
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    for i in range(0, len(data), 1 if outer.trickle else 1 << 16):
                        self.wfile.write(data[i : i + (1 if outer.trickle else 1 << 16)])
                        if outer.trickle:
                            time.sleep(0.05)
                except OSError:
                    pass  # the client has had enough

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str, body: dict[str, Any]) -> bytes:
        if self.raw is not None:
            return self.raw
        text = self.said if isinstance(self.said, str) else self.said(body)
        message = {"role": "assistant", "content": text}
        if path.endswith("/api/chat"):
            return json.dumps({"model": body["model"], "message": message, "done": True}).encode()
        return json.dumps({"model": f"{body['model']}-0613", "choices": [{"message": message}]}).encode()

    def __enter__(self) -> MllmServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

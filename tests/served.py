"""A server on loopback that speaks the OpenAI API and answers as it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Server(ThreadingHTTPServer):
    """Answers as told: each request is kept, and `answer(request)` gives status and body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.models = [{"id": "m", "object": "model", "owned_by": "someone", "created": 0}]
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.pages: dict[str, dict[str, Any]] = {}
        """What it shows beside the API, by path."""
        self.answer: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]] = lambda request: (
            200,
            choices(request["n"]),
        )
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def handle_post(self, request: dict[str, Any], key: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.requests.append(request)
            self.keys.append(key)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return self.answer(request)
        finally:
            with self._lock:
                self._at_once -= 1


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.path.endswith("/models"):
            self._send(200, {"object": "list", "data": self.server.models})
        else:
            self._send(200 if self.path in self.server.pages else 404, self.server.pages.get(self.path, {}))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(*self.server.handle_post(request, self.headers["Authorization"]))

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Retry-After-Ms", "5")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def choices(count: int, **more: Any) -> dict[str, Any]:
    one = {"text": " hello", "finish_reason": "stop", "logprobs": None, **more}
    return {
        "id": "x",
        "object": "text_completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": index, **one} for index in range(count)],
    }


@contextmanager
def serving() -> Iterator[Server]:
    """A server for the length of a `with` block."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server

"""A server on loopback that speaks the OpenAI API and answers as it is told to."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
"""Status, a body (an object, or bytes as they are sent), headers."""


class Reset(Exception):  # noqa: N818
    """Raised by an answer: the connection is torn down in place of one."""


class Server(ThreadingHTTPServer):
    """Answers as told: each request is kept, and `answer(request)` gives status and body."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.models = [{"id": "m", "object": "model", "owned_by": "someone", "created": 0}]
        self.lists_models = True
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.pages: dict[str, dict[str, Any]] = {}
        """What it shows beside the API, by path."""
        self.answer: Callable[[dict[str, Any]], Answer] = lambda request: (
            200,
            choices(request["n"]),
        )
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def handle_post(self, request: dict[str, Any], key: str) -> Answer:
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
        if self.path.endswith("/models") and self.server.lists_models:
            self._send(200, {"object": "list", "data": self.server.models})
        else:
            self._send(200 if self.path in self.server.pages else 404, self.server.pages.get(self.path, {}))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self._send(*self.server.handle_post(request, self.headers["Authorization"]))
        except Reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in ({"Retry-After-Ms": "5"} if headers is None else headers).items():
            self.send_header(name, value)
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
def serving(port: int = 0) -> Iterator[Server]:
    """A server for the length of a `with` block; gone before it ends where `shutdown` and `server_close` are called."""
    with Server(port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server

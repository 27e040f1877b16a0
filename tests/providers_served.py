"""A server on loopback that speaks Anthropic's Messages API and Google's generateContent as they are documented."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Row = dict[str, Any]
KEY = "key-that-nobody-may-read-again"
CLAUDE = {
    "id": "claude-sonnet-4-5",
    "type": "model",
    "display_name": "Claude Sonnet 4.5",
    "created_at": "2025-09-29T00:00:00Z",
    "lifecycle": "active",
    "max_tokens": 64000,
}
GEMINI = {
    "name": "models/gemini-2.5-flash",
    "version": "001",
    "displayName": "Gemini 2.5 Flash",
    "inputTokenLimit": 1048576,
    "outputTokenLimit": 65536,
    "supportedGenerationMethods": ["generateContent"],
    "temperature": 1,
    "topP": 0.95,
    "topK": 64,
    "maxTemperature": 2,
    "thinking": True,
}


class ProvidingServer(ThreadingHTTPServer):
    """Keeps each request; `answer(body)` gives status and body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.cards: dict[str, Row] = {
            "/v1/models/claude-sonnet-4-5": CLAUDE,
            "/v1/models/claude-opus-4-8": CLAUDE | {"id": "claude-opus-4-8"},
            "/v1/models/gemini-2.5-flash": GEMINI,
        }
        self.requests: list[tuple[str, dict[str, str], Row]] = []
        """(path, headers, body) of what was to be generated."""
        self.answer: Callable[[Row], tuple[int, Row]] = self._default

    @property
    def bodies(self) -> list[Row]:
        return [body for _, _, body in self.requests]

    def _default(self, body: Row) -> tuple[int, Row]:
        number = len(self.requests)
        return 200, candidate(f"answer {number}") if "contents" in body else message(f"answer {number}")


class Handler(BaseHTTPRequestHandler):
    server: ProvidingServer

    def do_GET(self) -> None:
        card = self.server.cards.get(self.path)
        self._send(200 if card else 404, card or {"error": {"message": "not found"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, body))
        self._send(*self.server.answer(body))

    def _send(self, status: int, body: Row) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def message(text: str, stop_reason: str = "end_turn", before: tuple[Row, ...] = ()) -> Row:
    """An answer of Anthropic's."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [*before, *([{"type": "text", "text": text}] if text else [])],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 3},
    }


def candidate(text: str, finish: str = "STOP", before: tuple[Row, ...] = (), thought: int = 0) -> Row:
    """An answer of Gemini's."""
    parts = [*before, *([{"text": text}] if text else [])]
    content = {"content": {"role": "model", "parts": parts}} if parts else {}
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10 + thought}
    return {
        "candidates": [{**content, "finishReason": finish, "index": 0}],
        "usageMetadata": usage | ({"thoughtsTokenCount": thought} if thought else {}),
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r",
    }


@pytest.fixture
def providing(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProvidingServer]:
    with ProvidingServer() as server:
        for name in ("ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL"):
            monkeypatch.setenv(name, server.url)
        for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            monkeypatch.setenv(name, KEY)
        monkeypatch.setenv("OPENAI_API_KEY", "key-of-somebody-else")
        monkeypatch.setenv("OPENAI_ORG_ID", "somebody-else")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()

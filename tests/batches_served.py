"""A server on loopback with a batch interface: it keeps files and batches, and answers as it is told to."""

from __future__ import annotations

import email.policy
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

Row = dict[str, Any]


def chat_answer(request: Row) -> tuple[int, Row]:
    """Choices that tell what was asked and with which seed."""
    body = request["body"]
    said = [f"{body['messages'][-1]['content']} / {body.get('seed')} / {index}" for index in range(body["n"])]
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", "logprobs": None}
        for index, text in enumerate(said)
    ]
    return 200, {"id": "c", "object": "chat.completion", "created": 0, "model": body["model"], "choices": choices}


class BatchingServer(ThreadingHTTPServer):
    """Files, batches, and what becomes of them; `hold` keeps batches in progress until it is cleared."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.files: dict[str, bytes] = {}
        self.batches: list[Row] = []
        """The newest last."""
        self.asked: list[str] = []
        """METHOD PATH of each request."""
        self.hold = False
        self.clock_off = 0.0
        """Seconds by which its clock is ahead."""
        self.answer: Callable[[Row], tuple[int, Row]] = chat_answer
        self.end: Callable[[Row], str] = lambda batch: "completed"
        """How a batch ends."""
        self.serves: Callable[[int, int], bool] = lambda batch, line: True
        """Whether a batch, counted from 0, comes to answer its line before it ends."""
        self.before_answer: Callable[[str], None] = lambda request: None
        """Called when a request was done and before it is answered."""
        self.unsaid: Callable[[str], int] = lambda request: 0
        """A status to answer a request with although it was done."""
        self.fault: Callable[[str], int] = lambda request: 0
        """A status to refuse a request with, before anything is done."""
        self._numbers = itertools.count(1)

    def requests(self) -> list[list[Row]]:
        """What each batch asks, the first created first."""
        return [[json.loads(line) for line in self.files[b["input_file_id"]].splitlines()] for b in self.batches]

    def keep(self, content: bytes) -> str:
        name = f"file-{next(self._numbers)}"
        self.files[name] = content
        return name

    def create(self, asked: Row) -> Row:
        lines = len(self.files[asked["input_file_id"]].splitlines())
        batch = asked | {
            "id": f"batch-{next(self._numbers)}",
            "object": "batch",
            "status": "in_progress",
            "created_at": int(time.time() + self.clock_off),
            "request_counts": {"total": lines, "completed": 0, "failed": 0},
        }
        self.batches.append(batch)
        return batch

    def look(self, batch: Row) -> Row:
        """A batch as it is; it ends when it is looked at for the first time without `hold`."""
        if not self.hold and batch["status"] == "in_progress":
            batch["status"] = self.end(batch)
            if batch["status"] == "failed":
                batch["errors"] = {"object": "list", "data": [{"code": "bad", "message": "the file is refused"}]}
            else:
                self._answer(batch)
        return batch

    def _answer(self, batch: Row) -> None:
        place = self.batches.index(batch)
        done: dict[str, list[Row]] = {"output_file_id": [], "error_file_id": []}
        for number, line in enumerate(self.files[batch["input_file_id"]].splitlines()):
            request = json.loads(line)
            if not self.serves(place, number):
                continue
            status, body = self.answer(request)
            row = {"id": f"r{number}", "custom_id": request["custom_id"], "error": None}
            row["response"] = {"status_code": status, "request_id": "x", "body": body}
            done["output_file_id" if status == 200 else "error_file_id"].append(row)
        for name, rows in done.items():
            if rows:
                batch[name] = self.keep("\n".join(json.dumps(row) for row in reversed(rows)).encode())


class Handler(BaseHTTPRequestHandler):
    server: BatchingServer

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers["Content-Length"])))

    def _serve(self, content: bytes) -> None:
        path = urlsplit(self.path).path.removeprefix("/v1")
        request = f"{self.command} {path}"
        self.server.asked.append(request)
        if status := self.server.fault(request):
            self._send(status, {"error": {"message": "not now", "type": "x", "param": None, "code": None}})
            return
        answer = self._answer(path, content)
        self.server.before_answer(request)
        if status := self.server.unsaid(request):
            self._send(status, {"error": {"message": "lost"}})
            return
        self._send(404 if answer is None else 200, answer or {"error": {"message": f"no {path}"}})

    def _answer(self, path: str, content: bytes) -> Row | bytes | None:
        server = self.server
        match [self.command, *path.strip("/").split("/")]:
            case ["GET", "models"]:
                card = {"id": "m", "object": "model", "owned_by": "someone", "created": 0}
                return {"object": "list", "data": [card]}
            case ["POST", "files"]:
                head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                parts = list(BytesParser(policy=email.policy.HTTP).parsebytes(head + content).iter_parts())
                fields = {part.get_param("name", header="content-disposition"): part for part in parts}
                assert fields["purpose"].get_content().strip() == "batch"
                name = server.keep(bytes(fields["file"].get_payload(decode=True)))
                return {"id": name, "object": "file", "created_at": int(time.time() + server.clock_off)}
            case ["GET", "files", name, "content"]:
                return server.files.get(name)
            case ["POST", "batches"]:
                return server.create(json.loads(content))
            case ["GET", "batches"]:
                return self._listed()
            case ["GET", "batches", name]:
                return next((server.look(batch) for batch in server.batches if batch["id"] == name), None)
        return None

    def _listed(self) -> Row:
        """One a page, the newest first, so that whoever looks must turn pages."""
        newest = self.server.batches[::-1]
        after = parse_qs(urlsplit(self.path).query).get("after")
        rest = newest[[batch["id"] for batch in newest].index(after[0]) + 1 :] if after else newest
        return {"object": "list", "data": rest[:1], "has_more": len(rest) > 1}

    def _send(self, status: int, body: Row | bytes) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Retry-After-Ms", "5")
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # whoever asked was killed

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def batching(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchingServer]:
    monkeypatch.setattr("evalkit.inference.engines.openai_batch.WAITS", (0.01, 1.0, 0.01))
    monkeypatch.setattr("evalkit.inference.engines.batch_server.FIRST_PAUSE", 0.01)
    with BatchingServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()

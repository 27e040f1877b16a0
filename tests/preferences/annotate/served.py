"""The page's server as tests run it, a rater who talks to it without a browser, and the rows of its file."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from evalkit.preferences.annotate.choosing import ShuffledPairs
from evalkit.preferences.annotate.desk import Desk
from evalkit.preferences.annotate.guard import Guard, key_for
from evalkit.preferences.annotate.serve import bound, make_server
from evalkit.preferences.annotate.settings import TaskSettings
from evalkit.preferences.annotate.store import AnswerStore, read_store
from evalkit.preferences.annotation import Annotation, Comparison
from evalkit.preferences.pairs import Pair
from evalkit.records import Prompt

TOKEN = "a secret of the owner"
GROUP = "readers"


@dataclass
class Clock:
    """The time, as far on as a test wants it."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def comparisons(count: int) -> list[Comparison]:
    return [Comparison(Pair(Prompt(f"p{i}", f"Say {i}."), f"good {i}", f"poor {i}")) for i in range(count)]


def gold(count: int) -> list[Comparison]:
    pairs = [Pair(Prompt(f"g{i}", f"What is {i} + 1?"), str(i + 1), str(i + 70)) for i in range(count)]
    return [Comparison(pair, gold="a") for pair in pairs]


def make_desk(
    path: Path,
    pairs: Sequence[Comparison],
    checks: Sequence[Comparison] = (),
    clock: Clock | None = None,
    **settings: Any,
) -> Desk:
    """A desk over a file of answers, as `open_task` makes one of a file of pairs."""
    store = AnswerStore(path)
    drawn = {one.comparison.id for one in read_store(path)}
    group = settings.pop("group", GROUP)
    task = TaskSettings(group, **settings)
    chooser = ShuffledPairs(pairs, drawn, task.seed)
    return Desk(store, task, chooser, checks, task.overlap * len(pairs), clock or Clock())


@dataclass
class Served:
    """A server at work."""

    url: str
    path: Path
    clock: Clock
    token: str | None
    client: httpx.Client

    def rater(self, name: str) -> Rater:
        return Rater(self.client, name, key_for(self.token, name) if self.token else None)

    @property
    def answers(self) -> list[Annotation]:
        return read_store(self.path)


@dataclass
class Rater:
    """Somebody who answers, as the page does."""

    client: httpx.Client
    name: str
    key: str | None = None
    view: dict[str, Any] = field(default_factory=dict)

    def post(self, call: str, **body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return self.client.post(f"/api/{call}", json={"rater": self.name} | body, headers=headers)

    def enter(self) -> dict[str, Any]:
        return self._seen(self.post("enter"))

    def body(self, choice: str, seconds: float = 5.0, **more: Any) -> dict[str, Any]:
        """An answer about the pair that is shown."""
        pair = self.view["pair"]
        return {"seat": pair["seat"], "opening": pair["opening"], "choice": choice, "seconds": seconds} | more

    def answer(self, choice: str = "first", **more: Any) -> dict[str, Any]:
        return self._seen(self.post("answer", **self.body(choice, **more)))

    def prefer(self, word: str) -> dict[str, Any]:
        """Choose the completion with a word in it, wherever it stands."""
        return self.answer("first" if word in self.view["pair"]["first"] else "second")

    def undo(self) -> dict[str, Any]:
        return self._seen(self.post("undo", **self.view["undo"]))

    def _seen(self, reply: httpx.Response) -> dict[str, Any]:
        assert reply.status_code == 200, reply.text
        self.view = reply.json()
        return self.view


@contextmanager
def served(
    folder: Path,
    pairs: Sequence[Comparison],
    checks: Sequence[Comparison] = (),
    token: str | None = None,
    raters: Sequence[str] = (),
    **settings: Any,
) -> Iterator[Served]:
    """A server at work on a free port of this machine, over RUN-like `folder/answers.sqlite`."""
    clock, path = Clock(), folder / "answers.sqlite"
    desk = make_desk(path, pairs, checks, clock, **settings)
    server = make_server(desk, Guard("127.0.0.1", token, raters))
    with bound("127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with httpx.Client(base_url=url, timeout=60) as client:
                yield Served(url, path, clock, token, client)
        finally:
            server.should_exit = True
            thread.join()
            desk.store.close()


def rows(path: Path) -> dict[str, list[Any]]:
    """All that a file of answers holds."""
    with closing(sqlite3.connect(path)) as connection:
        tables = ("pairs", "raters", "seats", "answers", "failures")
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}

"""A server's batch interface: files go up, a batch is created once and only once, its results come down.

As OpenAI documents it: `POST /files` (purpose batch), `POST /batches`, `GET /batches` (newest first), `GET
/batches/ID`, `GET /files/ID/content`. Creating is the one step that must not be done twice, and whose answer may be
lost: with the process, or on the way. So every batch carries the run's key and its own number as metadata, and whoever
does not know whether a batch was created looks for it in the server's list first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from evalkit.checkpoints.clients import (
    SECRET_KEY,
    UnreadableAnswer,
    answers_of,
    api_key,
    one_line,
    open_client,
    without_keys,
)
from evalkit.checkpoints.servers import failures_of
from evalkit.errors import EngineError
from evalkit.inference.engines.answers import BadAnswer, count_of, read_body
from evalkit.inference.engines.batch_ledger import KEPT, Batch, Ledger
from evalkit.plumbing.files import write_file

if TYPE_CHECKING:
    from openai import OpenAI

RETRIES = 6
READ_SECONDS = 600.0
"""For a piece of an answer."""
ANSWER_SECONDS = 3600.0
"""For all of one."""
MOST_TOKENS = 2**22
"""So many may be in a file of results."""
PAGE, MOST_PAGES = 100, 100
"""Batches on a page of a server's list, and pages that are read of it."""
WINDOW = "24h"
"""Within which a server is to answer a batch: the one that OpenAI takes."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds between tries to create a batch."""
WAITS = (1.0, 1.5, 30.0)
"""Seconds before a batch is asked after for the first time, by what they grow, and what they grow to."""
DAY = 86_400.0
"""By how much the clocks of a server's machines may differ."""
ENDED = ("completed", "failed", "expired", "cancelled")
"""What a batch may end as; of all but `failed` there may be results."""
OPEN = ("validating", "in_progress", "finalizing", "cancelling")
GONE = "gone"
"""A batch, or its results, that the server does not know any more."""
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class State:
    """How a batch is."""

    status: str
    done: int
    """Requests answered or failed."""
    why: str = ""
    """What the server says of a failure."""

    @property
    def is_over(self) -> bool:
        return self.status in (*ENDED, GONE)

    @property
    def is_known(self) -> bool:
        """Whether the interface has a batch in such a state."""
        return self.is_over or self.status in OPEN


class BatchServer:
    """The batches that a run has at one server."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        self._url = url
        self._ledger = ledger
        self._client = open_client(url, api_key(), READ_SECONDS, RETRIES, ANSWER_SECONDS)

    def close(self) -> None:
        self._client.close()

    def submit(self, batch: Batch) -> None:
        """See to it that the batch is created, and written down. Raises `EngineError`."""
        if batch.asked and batch.id is None and (found := self._find(batch)):
            self._ledger.note(batch, id=found)
        if batch.id is not None:
            return
        if batch.file is None:
            self._upload(batch)
        self._ledger.note(batch, asked=True)
        try:
            self._ledger.note(batch, id=self._create(batch))
        except EngineError:
            self._ledger.note(batch, file=None)  # whoever tries again uploads again: it may be the file
            raise

    def state(self, batch: Batch) -> State:
        """How the batch is now. Raises `EngineError`."""
        import openai

        try:
            told = self._asked(lambda client: self._read(client.get(_path(batch), cast_to=str)))
        except openai.NotFoundError:
            return State(GONE, 0, "the server does not know it any more")
        status, counts, errors = told.get("status"), _mapping(told.get("request_counts")), _mapping(told.get("errors"))
        if not isinstance(status, str):
            raise EngineError(f"{self._url} tells no status of batch {batch.id}")
        done = sum(count_of(counts.get(name)) or 0 for name in ("completed", "failed"))
        said = errors.get("data")
        whys = [_mapping(one) for one in said[:3]] if isinstance(said, list) else []
        why = "; ".join(one_line(str(one.get("message") or one.get("code"))) for one in whys)
        return State(one_line(status), min(done, batch.requests), why)

    def fetch(self, batch: Batch) -> bool:
        """Bring the results of a batch that is over into the folder; whether the server still had them."""
        import openai

        try:
            told = self._asked(lambda client: self._read(client.get(_path(batch), cast_to=str)))
            files = [told.get(name) for name in ("output_file_id", "error_file_id")]
            content = b"\n".join(self._content(str(name)) for name in files if name)
        except openai.NotFoundError:
            content, found = b"", False
        else:
            found = True
        kept = without_keys(content.decode(errors="surrogateescape"), SECRET_KEY).encode(errors="surrogateescape")
        write_file(self._ledger.results(batch), kept, KEPT)
        return found

    def _upload(self, batch: Batch) -> None:
        path = self._ledger.requests(batch)
        content = path.read_bytes()
        name = f"evalkit-{self._ledger.run}-{batch.number}.jsonl"

        def upload(client: OpenAI) -> Mapping[str, Any]:
            made = client.files.with_raw_response.create(file=(name, content), purpose="batch")
            return self._read(made.http_response.content)

        made = self._known(upload)
        if not _id(made):
            raise EngineError(f"{self._url} took a file of requests and tells no id of it; {KEPT}")
        told = made.get("created_at")
        known = batch.uploaded is not None or not isinstance(told, int | float)
        self._ledger.note(batch, file=_id(made), **({} if known else {"uploaded": told}))

    def _create(self, batch: Batch) -> str:
        """Create it, once: where no answer comes, the server's list tells whether it was."""
        wait = FIRST_PAUSE
        for _ in range(RETRIES + 1):
            created, why = self._created(batch)
            if known := created or self._find(batch):
                return known
            time.sleep(wait)
            wait = min(LONGEST_PAUSE, 2 * wait)
        raise EngineError(
            f"{self._url} created no batch in {RETRIES + 1} tries, and lists none: {why}; give the same command again, "
            "which looks for it first"
        )

    def _created(self, batch: Batch) -> tuple[str | None, str]:
        """(its id, why it is not known): where no answer came, it may have been created all the same."""
        import openai

        def create(client: OpenAI) -> tuple[str | None, str]:
            body = {
                "input_file_id": batch.file,
                "endpoint": batch.endpoint,
                "completion_window": WINDOW,
                "metadata": self._marks(batch),
            }
            try:
                made = read_body(client.with_options(max_retries=0).post("/batches", body=body, cast_to=str).encode())
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
                return None, one_line(error.message)
            except (BadAnswer, UnreadableAnswer) as error:
                return self._taken(batch, str(error)), ""
            return _id(made) or self._taken(batch, "answered without an id"), ""

        return self._known(create)

    def _taken(self, batch: Batch, answer: str) -> str:
        """Id of a batch that the server has taken without telling. Raises `EngineError`: it must not be asked twice."""
        if found := self._find(batch):
            return found
        raise EngineError(
            f"{self._url} {answer} when a batch of {self._ledger.requests(batch)} was created, and lists none; look "
            "for it there before the same command is given again"
        )

    def _find(self, batch: Batch) -> str | None:
        """Id of the batch in the server's list, if it is there."""
        marks = self._marks(batch)

        def look(client: OpenAI) -> str | None:
            for one in self._listed(client):
                created = one.get("created_at")
                if batch.uploaded and isinstance(created, int | float) and created < batch.uploaded - DAY:
                    return None
                told = _mapping(one.get("metadata"))
                if _id(one) and all(told.get(name) == value for name, value in marks.items()):
                    return _id(one)
            return None

        import openai

        try:
            return self._asked(look)
        except openai.NotFoundError as error:
            raise EngineError(
                f"{self._url} has no list of batches ({one_line(error.message)}), so that nobody can tell whether the "
                f"one of {self._ledger.requests(batch)} was created; look for it there, and move the folder `batches` "
                "away to ask anew"
            ) from error

    def _marks(self, batch: Batch) -> dict[str, str]:
        return {"evalkit_run": self._ledger.run, "evalkit_batch": batch.number}

    def _listed(self, client: OpenAI) -> Iterator[Mapping[str, Any]]:
        """The batches that the server lists, as far as anybody reads. Raises `EngineError`."""
        place = first = f"/batches?limit={PAGE}"
        for _ in range(MOST_PAGES):
            told = self._read(client.get(place, cast_to=str))
            data = told.get("data")
            rows = [_mapping(one) for one in data] if isinstance(data, list) else []
            yield from rows
            if not rows or not told.get("has_more") or not _id(rows[-1]):
                return
            place = f"{first}&after={quote(_id(rows[-1]), safe='')}"

    def _content(self, name: str) -> bytes:
        """A file; some servers keep those elsewhere."""
        elsewhere = open_client(self._url, api_key(), READ_SECONDS, RETRIES, ANSWER_SECONDS, follows=True)
        with elsewhere, answers_of(MOST_TOKENS):
            return self._asked(lambda _: bytes(elsewhere.files.content(name).content))

    def _read(self, content: str | bytes) -> Mapping[str, Any]:
        """The object that an answer is. Raises `EngineError`."""
        try:
            return read_body(content.encode() if isinstance(content, str) else content)
        except BadAnswer as error:
            raise EngineError(f"{self._url} {error}") from None

    def _known(self, work: Callable[[OpenAI], _Result]) -> _Result:
        """Ask the server of what every batch interface has."""
        import openai

        try:
            return self._asked(work)
        except openai.NotFoundError as error:
            raise EngineError(
                f"{self._url} has no batch interface ({one_line(error.message)}); leave out `batch: true`"
            ) from error

    def _asked(self, work: Callable[[OpenAI], _Result]) -> _Result:
        """What the server answers; that it does not know a thing is for the caller to understand."""
        import openai

        with failures_of(self._url, RETRIES, EngineError):
            try:
                return work(self._client)
            except openai.NotFoundError as error:
                missing = error
        raise missing


def _path(batch: Batch) -> str:
    return f"/batches/{quote(str(batch.id), safe='')}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _id(made: Mapping[str, Any]) -> str:
    """What a server calls what it made; empty where it does not tell."""
    told = made.get("id")
    return str(told) if isinstance(told, str | int) and not isinstance(told, bool) else ""

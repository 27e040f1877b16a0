"""A server's batch interface: files go up, a batch is created once and only once, its results come down.

As OpenAI documents it: `POST /files` (purpose batch), `POST /batches`, `GET /batches` (newest first), `GET
/batches/ID`, `GET /files/ID/content`. Creating is the one step that must not be done twice, and whose answer may be
lost: with the process, or on the way. So every batch carries the run's key and its own number as metadata, and whoever
does not know whether a batch was created looks for it in the server's list first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from evalkit.checkpoints.servers import api_key, failures_of, one_line
from evalkit.errors import EngineError
from evalkit.inference.engines.batch_ledger import KEPT, Batch, Ledger
from evalkit.plumbing.files import write_file

if TYPE_CHECKING:
    from openai import OpenAI

RETRIES = 6
CONNECT_SECONDS = 10.0
READ_SECONDS = 600.0
WINDOW = "24h"
"""Within which a server is to answer a batch: the one that OpenAI takes."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds between tries to create a batch."""
WAITS = (1.0, 1.5, 30.0)
"""Seconds before a batch is asked after for the first time, by what they grow, and what they grow to."""
DAY = 86_400.0
"""By how much clocks may differ."""
ENDED = ("completed", "failed", "expired", "cancelled")
"""What a batch may end as; of all but `failed` there may be results."""
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


class BatchServer:
    """The batches that a run has at one server."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        import openai

        self._url = url
        self._ledger = ledger
        timeout = openai.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        self._client = openai.OpenAI(base_url=url, api_key=api_key(), max_retries=RETRIES, timeout=timeout)

    def close(self) -> None:
        self._client.close()

    def submit(self, batch: Batch) -> None:
        """See to it that the batch is created, and written down. Raises `EngineError`."""
        if batch.asked and batch.id is None and (found := self._find(batch)):
            self._ledger.note(batch, id=found)
        if batch.id is not None:
            return
        if batch.file is None:
            self._ledger.note(batch, file=self._upload(batch))
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
            told = self._asked(lambda client: client.batches.retrieve(str(batch.id)))
        except openai.NotFoundError:
            return State(GONE, 0, "the server does not know it any more")
        counts = told.request_counts
        errors = (told.errors.data if told.errors else None) or []
        why = "; ".join(one_line(str(error.message or error.code)) for error in errors[:3])
        return State(told.status, (counts.completed + counts.failed) if counts else 0, why)

    def fetch(self, batch: Batch) -> bool:
        """Bring the results of a batch that is over into the folder; whether the server still had them."""
        import openai

        try:
            told = self._asked(lambda client: client.batches.retrieve(str(batch.id)))
            files = [name for name in (told.output_file_id, told.error_file_id) if name]
            content = b"\n".join(self._content(name) for name in files)
        except openai.NotFoundError:
            content, found = b"", False
        else:
            found = True
        write_file(self._ledger.results(batch), content, KEPT)
        return found

    def _upload(self, batch: Batch) -> str:
        path = self._ledger.requests(batch)
        content = path.read_bytes()
        name = f"evalkit-{self._ledger.run}-{batch.number}.jsonl"
        return self._known(lambda client: str(client.files.create(file=(name, content), purpose="batch").id))

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
            once = client.with_options(max_retries=0)
            marks = self._marks(batch)
            try:
                made = once.batches.create(
                    input_file_id=batch.file, endpoint=batch.endpoint, completion_window=WINDOW, metadata=marks
                )
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
                return None, one_line(error.message)
            return str(made.id), ""

        return self._known(create)

    def _find(self, batch: Batch) -> str | None:
        """Id of the batch in the server's list, if it is there."""
        marks = self._marks(batch)

        def look(client: OpenAI) -> str | None:
            for one in client.batches.list(limit=100):
                if one.created_at < self._ledger.began - DAY:
                    return None
                if one.metadata and all(one.metadata.get(name) == value for name, value in marks.items()):
                    return str(one.id)
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

    def _content(self, name: str) -> bytes:
        return self._asked(lambda client: bytes(client.files.content(name).content))

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

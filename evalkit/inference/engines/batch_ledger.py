"""What a run has asked of batch interfaces, in its folder: written before it is asked, so that no end of it is a loss.

batches/ledger.json            the run's key, and each batch: its file, its id, how it ended
batches/NUMBER.requests.jsonl  what a batch asks, a line a request
batches/NUMBER.results.jsonl   what came of it, a line a request that was answered or failed, in any order
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from evalkit.errors import StoreError
from evalkit.plumbing.files import unwritten, write_file

KEPT = "all that came before is kept"
"""Where a file could not be written."""


class Batch(BaseModel):
    """One batch, from before it is created until its results are here."""

    model_config = ConfigDict(extra="forbid")

    number: str
    """Its place in the run, and so its files' name."""
    of: str
    """Fingerprint of the checkpoint that it asks."""
    endpoint: str
    requests: int
    file: str | None = None
    """Id of the uploaded requests."""
    uploaded: float | None = None
    """When they first were, in seconds since 1970 by the server's clock; None where it did not say."""
    asked: bool = False
    """Whether its creation may have been asked for."""
    id: str | None = None
    ended: str | None = None
    """How it ended, in the server's word; its results are then here."""


class Book(BaseModel):
    """All of ledger.json."""

    model_config = ConfigDict(extra="forbid")

    run: str
    """What marks the run's batches at a server: nobody else has it."""
    began: float | None = None
    """Older evalkits wrote it, by this machine's clock; nothing looks at it."""
    batches: list[Batch] = []
    left_out: dict[str, list[str]] = {}
    """Checkpoint's fingerprint -> parameters that its server refuses."""


class Ledger:
    """The batches of a run's folder, which must be locked by the caller."""

    def __init__(self, folder: Path) -> None:
        """Read what is there, or begin. Raises `StoreError`: a folder that cannot be written, a damaged ledger."""
        self._folder = folder / "batches"
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise unwritten(self._folder, error) from error
        self._path = self._folder / "ledger.json"
        self._book = self._read()

    @property
    def run(self) -> str:
        return self._book.run

    def of(self, fingerprint: str) -> list[Batch]:
        """The batches that ask a checkpoint, the first asked first."""
        return [batch for batch in self._book.batches if batch.of == fingerprint]

    def left_out(self, fingerprint: str) -> list[str]:
        return self._book.left_out.get(fingerprint, [])

    def leave_out(self, fingerprint: str, what: Sequence[str]) -> None:
        self._book.left_out[fingerprint] = sorted(what)
        self._write()

    def add(self, fingerprint: str, endpoint: str, lines: Sequence[bytes]) -> Batch:
        """A batch that is to ask these requests, with its file of them; nothing is sent."""
        number = f"{len(self._book.batches) + 1:04d}"
        batch = Batch(number=number, of=fingerprint, endpoint=endpoint, requests=len(lines))
        write_file(self.requests(batch), b"".join(lines), KEPT)
        self._book.batches.append(batch)
        self._write()
        return batch

    def note(self, batch: Batch, **facts: Any) -> None:
        """Write down what has become known of a batch."""
        for name, value in facts.items():
            setattr(batch, name, value)
        self._write()

    def requests(self, batch: Batch) -> Path:
        return self._folder / f"{batch.number}.requests.jsonl"

    def results(self, batch: Batch) -> Path:
        return self._folder / f"{batch.number}.results.jsonl"

    def asked(self, batch: Batch) -> Iterator[str]:
        """The `custom_id` of each of its requests."""
        for line in self._lines(self.requests(batch)):
            yield str(json.loads(line)["custom_id"])

    def rows(self, batch: Batch) -> Iterator[Mapping[str, Any] | None]:
        """Its results line by line; None for a line that is none."""
        for line in self._lines(self.results(batch)):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield row if isinstance(row, dict) and isinstance(row.get("custom_id"), str) else None

    def _lines(self, path: Path) -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                yield from (line for line in file if line.strip())
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error

    def _read(self) -> Book:
        try:
            return Book.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return Book(run=secrets.token_hex(16))
        except OSError as error:
            raise StoreError(f"{self._path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise StoreError(
                f"{self._path} is damaged ({error.errors()[0]['msg']}); without it nobody knows which batches were "
                "asked: bring it back, or move the folder `batches` away to ask all that is missing anew"
            ) from None

    def _write(self) -> None:
        write_file(self._path, self._book.model_dump_json(indent=1, exclude_defaults=True).encode(), KEPT)

"""A static site of finished runs: an index, a line a run, and beneath it each run's own page and numbers.

    FOLDER/index.html   FOLDER/site.json   FOLDER/runs/NAME/report.html   FOLDER/runs/NAME/summary.json

site.json lists what evalkit wrote; a file that it does not list is never written over, and none is ever deleted.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from evalkit.errors import RecordsError, StoreError
from evalkit.plumbing.array_cache import key_of
from evalkit.plumbing.files import write_atomically
from evalkit.report.html.page_file import page_bytes
from evalkit.report.html.render import asset, render_plain
from evalkit.report.verdicts.verdict import verdict
from evalkit.runs.manifest import read_manifest, start_of
from evalkit.runs.summary import read_summary

LEDGER, INDEX, PAGE, NUMBERS = "site.json", "index.html", "report.html", "summary.json"
Exists = Callable[[str], bool]
"""Whether a file stands at this path of the site."""
Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]


@dataclass(frozen=True, slots=True)
class Published:
    """One line of the index."""

    slug: Slug
    """Its folder under runs/."""
    key: str
    """Which run it is: the same one published again takes the same place."""
    name: str
    suite: str
    started: datetime.datetime
    arms: tuple[str, ...]
    headline: str
    tags: tuple[str, ...] = ()


_LEDGER = TypeAdapter(tuple[Published, ...])


def publish(runs: Sequence[Path], folder: Path) -> tuple[Published, ...]:
    """Add the runs to the site in `folder`, or replace them there; returns all that it holds, the newest first.

    Each file is written whole or not at all, the index last. Raises `RecordsError` on what is no finished run, and
    `StoreError` where the folder cannot be written or holds files that evalkit did not write.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            known = read_ledger(folder)
            listed, files = site_files(runs, known, lambda path: (folder / path).exists())
            for path, content in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                write_atomically(folder / path, content)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror or error}") from error
    return listed


def site_files(
    runs: Sequence[Path], known: Sequence[Published], exists: Exists
) -> tuple[tuple[Published, ...], dict[str, bytes]]:
    """What the site then lists, and path -> content of every file to write, the list first, the index last.

    `known` is what it lists by now. Raises `RecordsError`, and `StoreError` where a file of another's is in the way.
    """
    if not known and exists(INDEX):
        raise StoreError(f"there is an {INDEX} that evalkit did not write; choose another place, or move it away")
    listed = {entry.key: entry for entry in known}
    files = {LEDGER: b""}  # the first: what a publishing that is killed leaves is its own then
    for run in runs:
        entry = _placed(_entry(run), listed, exists)
        listed[entry.key] = entry
        files |= {f"runs/{entry.slug}/{name}": _read(run / name) for name in (PAGE, NUMBERS)}
    newest = tuple(sorted(listed.values(), key=lambda entry: (entry.started, entry.slug), reverse=True))
    files[LEDGER] = _LEDGER.dump_json(newest, indent=1)
    files[INDEX] = page_bytes(index_page(newest))
    return newest, files


def read_ledger(folder: Path) -> tuple[Published, ...]:
    """What evalkit published there; nothing where it is new. Raises `StoreError` on a ledger that is damaged."""
    path = folder / LEDGER
    try:
        return _LEDGER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except ValidationError as error:
        raise StoreError(f"{path} is no list of runs that evalkit wrote: {error.errors()[0]['msg']}") from None


def index_page(listed: Sequence[Published]) -> str:
    """The index as HTML: without scripts, and nothing in it from elsewhere."""
    styles = [asset("evalkit.report.html", name) for name in ("style.css", "site.css")]
    runs = [(entry, f"{entry.started:%Y-%m-%d %H:%M}") for entry in listed]
    return render_plain("site.html.jinja", styles, {"title": "Runs", "runs": runs})


def _entry(run: Path) -> Published:
    manifest, summary = read_manifest(run), read_summary(run / NUMBERS)
    name = run.resolve().name
    started = start_of(manifest, run)
    return Published(
        slug=re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "run",
        key=key_of({"run": [name, manifest.to_json()["started"], summary.suite]}),
        name=name,
        suite=summary.suite,
        started=started,
        arms=tuple(arm.name for arm in summary.arms),
        headline=verdict(summary).headline,
        tags=manifest.tags,
    )


def _placed(entry: Published, listed: Mapping[str, Published], exists: Exists) -> Published:
    """Where it was before, or a place of its own: another run may have the same name."""
    if entry.key in listed:
        return replace(entry, slug=listed[entry.key].slug)
    taken = {other.slug for other in listed.values()}
    ways = (entry.slug if count == 1 else f"{entry.slug}-{count}" for count in range(1, len(taken) + 2))
    slug = next(way for way in ways if way not in taken)
    if exists(f"runs/{slug}/{PAGE}"):
        raise StoreError(f"runs/{slug} is there and no run that {LEDGER} lists; move it away, or choose another place")
    return replace(entry, slug=slug)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        remedy = f"make it again with: evalkit report {path.parent}" if path.name == PAGE else "run the suite again"
        raise RecordsError(f"{path} cannot be read ({error.strerror}); {remedy}") from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One at a time: two that publish at once would each drop the other's line. Waits."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

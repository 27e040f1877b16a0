"""Files of completions become rows, each under the arm that its file names or is named after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import RecordsError
from evalkit.plumbing.piles import Pile
from evalkit.plumbing.unread import Notice, unread_note
from evalkit.runs.exchange import inspect_log, lighteval, lm_eval, novelty_bench, openai_batch, trl
from evalkit.runs.exchange.columns import Columns
from evalkit.runs.exchange.detect import Recognised, recognise
from evalkit.runs.exchange.layouts import Layout
from evalkit.runs.exchange.own import KEYS, OF_EXPORTS, SCORE, read_own
from evalkit.runs.exchange.rows import Record, Tally, TextRow, as_whole_text

RENDERED: frozenset[Layout] = frozenset({"lm-eval", "lighteval"})
"""Layouts whose prompts are as a model saw them, with examples and template: one question may read differently."""
COMPRESSED = (".gz", ".zst", ".zstd")
UNNAMED = "texts"
"""Name of the arm of rows that name none, in a single file."""
READERS: dict[Layout, Callable[[Iterable[Record], Tally], Iterator[TextRow]]] = {
    "lm-eval": lm_eval.read_lm_eval,
    "lighteval": lighteval.read_lighteval,
    "novelty-bench": novelty_bench.read_novelty_bench,
    "trl": trl.read_trl,
}


@dataclass(frozen=True, slots=True)
class Texts:
    """What the files hold, in their order."""

    rows: Sequence[TextRow]
    """On disk where they are many."""
    arms: list[str]
    """Of each row."""
    notes: tuple[str, ...]
    """What was left out, and why."""
    layouts: tuple[Layout, ...]
    """Of each file that holds completions."""

    @property
    def are_rendered(self) -> bool:
        """Whether prompts of one id may read differently, since they are as each model saw them."""
        return any(layout in RENDERED for layout in self.layouts)

    @property
    def tool(self) -> str:
        """Whose scores they are."""
        return "+".join(dict.fromkeys(self.layouts))


@dataclass(frozen=True, slots=True)
class _FileTexts:
    """What one file holds, but for its rows."""

    file: Recognised
    tally: Tally
    arms: list[str]
    """Of each row, as the file names it; empty where it names none."""
    prompts: dict[str, set[str]]
    """Of each arm."""


def read_texts(
    paths: Sequence[Path], notice: Notice, layout: Layout | None = None, columns: Columns | None = None
) -> Texts:
    """All completions of the files. `columns`: field -> the column that holds it, where names differ.

    `notice` is told of keys that are not read. Raises `RecordsError` that names the place.
    """
    named = columns or {}
    files = [recognise(path, layout, named) for path in paths]
    questions: dict[str, openai_batch.Question] = {}
    for file in files:
        if file.is_request:
            questions |= openai_batch.read_requests(file.records({}))
    pile: Pile[TextRow] = Pile()
    parts = [_read_file(file, questions, named, notice, pile) for file in files if not file.is_request]
    if not parts:
        raise RecordsError(f"{paths[0]} holds requests of a batch; name the file of their results too")
    notes = tuple(sentence for part in parts for sentence in part.tally.sentences())
    return Texts(pile.items(), _arms(parts), notes, tuple(part.file.layout for part in parts))


def read_records(records: Iterable[Record], source: str, notice: Notice) -> Texts:
    """Completions of rows of our own that are in memory, from `source` as it is to be called. Raises `RecordsError`."""
    tally = Tally(source)
    pile: Pile[TextRow] = Pile()
    names: dict[str, str] = {}
    arms = []
    for read in read_own(_noting(records, source, notice), tally, is_named=False, is_table=False):
        row = as_whole_text(read, tally)
        pile.add(row, _letters(row))
        arms.append(names.setdefault(row.arm or UNNAMED, row.arm or UNNAMED))
    if not arms:
        raise RecordsError("there are no texts; give one completion at least")
    tally.read = len(arms)
    return Texts(pile.items(), arms, tuple(tally.sentences()), ("evalkit",))


def _read_file(
    file: Recognised, questions: openai_batch.Questions, columns: Columns, notice: Notice, pile: Pile[TextRow]
) -> _FileTexts:
    """Put the rows of a file upon the pile."""
    tally = Tally(str(file.path))
    names: dict[str, str] = {}
    part = _FileTexts(file, tally, [], {})
    for read in _read(file, questions, columns, tally, notice):
        row = as_whole_text(read, tally)
        pile.add(row, _letters(row))
        arm = names.setdefault(row.arm or "", row.arm or "")  # one text for all rows, not one a row
        part.arms.append(arm)
        part.prompts.setdefault(arm, set()).add(row.prompt_id)
    tally.read = len(part.arms)
    if not part.arms:
        _refuse_nothing(file, tally)
    return part


def _letters(row: TextRow) -> int:
    return len(row.prompt) + len(row.completion) + len(row.thinking or "")


def _refuse_nothing(file: Recognised, tally: Tally) -> None:
    if tally.lost:
        raise RecordsError("; ".join(tally.sentences()))
    what = f"each {'row has' if file.is_table else 'line is one JSON object with'} prompt_id, prompt and completion"
    raise RecordsError(f"{file.path} holds no rows" + (f"; {what}" if file.layout == "evalkit" else ""))


def _read(
    file: Recognised, questions: openai_batch.Questions, columns: Columns, tally: Tally, notice: Notice
) -> Iterator[TextRow]:
    if file.layout == "inspect":
        read = inspect_log.read_eval if file.container == "zip" else inspect_log.read_json
        return read(file.path, tally)
    records = file.records(columns)
    if file.layout == "openai-batch":
        return openai_batch.read_results(records, questions, tally)
    if file.layout == "evalkit":
        noted = _noting(records, str(file.path), notice)
        return read_own(noted, tally, is_named=bool(columns), is_table=file.is_table)
    return READERS[file.layout](records, tally)


def _noting(records: Iterable[Record], source: str, notice: Notice) -> Iterator[Record]:
    """The records; at their end `notice` is told which of their keys nothing reads."""
    keys: dict[str, None] = {}
    for where, fields in records:
        keys |= dict.fromkeys(key for key in fields if not key.startswith(SCORE))
        yield where, fields
    if keys and (note := unread_note(source, (key for key in keys if key not in OF_EXPORTS), KEYS)):
        notice(note)


def _arms(parts: Sequence[_FileTexts]) -> list[str]:
    """Each row's arm: as its file names it, else the file's own name; that too where two models would be one.

    Rows of ours say on purpose what arm they are of, and may lie in several files.
    """
    stems = _stems([part.file.path for part in parts])
    names = []
    for part, stem in zip(parts, stems, strict=True):
        others = [other.prompts for other in parts if other is not part]
        alone = UNNAMED if part.file.layout == "evalkit" and len(parts) == 1 else stem
        called = {"": alone}
        for arm, prompts in part.prompts.items():
            is_taken = part.file.layout != "evalkit" and any(prompts & by_arm.get(arm, set()) for by_arm in others)
            if arm:
                called[arm] = arm if not is_taken else stem if len(part.prompts) == 1 else f"{stem}:{arm}"
        names += [called[arm] for arm in part.arms]
    return names


def _stems(paths: Sequence[Path]) -> list[str]:
    """Names of files without their endings; with their folder where two have one name."""
    short = [_stem(path) for path in paths]
    twice = Counter(short)
    return [
        name if twice[name] == 1 else f"{path.absolute().parent.name}/{name}"
        for path, name in zip(paths, short, strict=True)
    ]


def _stem(path: Path) -> str:
    return Path(path.stem).stem if path.suffix in COMPRESSED else path.stem


def stem_of(paths: Sequence[Path]) -> str:
    """The name of what the files hold together."""
    return "+".join(dict.fromkeys(map(_stem, paths)))

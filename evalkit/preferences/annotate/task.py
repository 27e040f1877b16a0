"""A labelling task: what people are asked about, and where their answers lie."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from evalkit.errors import RecordsError
from evalkit.plumbing.prose import counted, listed
from evalkit.plumbing.typed_jsonl import check_place, typed_rows
from evalkit.plumbing.unread import Notice
from evalkit.preferences.active_choice import ActiveChooser
from evalkit.preferences.annotate.choosing import Chooser, Place, RunChooser, ShuffledPairs, UniformPairs
from evalkit.preferences.annotate.desk import Desk
from evalkit.preferences.annotate.run_pairs import RunPairs, read_run_pairs
from evalkit.preferences.annotate.settings import TaskSettings
from evalkit.preferences.annotate.store import AnswerStore, comparison_of
from evalkit.preferences.annotation import Choice, Comparison
from evalkit.preferences.known_pairs import KnownPairs
from evalkit.preferences.pairs import Pair, PairRow, read_pairs
from evalkit.runs.stored_scores import read_scores

IN_RUN = "annotations.sqlite"
SCORES = "scores.parquet"


class _GoldRow(PairRow):
    """A pair, and what whoever reads with care says of it."""

    gold: Choice


@dataclass(frozen=True)
class Task:
    """What is asked, and the file that takes the answers."""

    desk: Desk
    store: AnswerStore


def answers_path(source: Path) -> Path:
    """Where the answers about a run, or about a file of pairs, lie."""
    return source / IN_RUN if source.is_dir() else source.with_name(f"{source.stem}.annotations.sqlite")


def open_task(source: Path, settings: TaskSettings, gold: Path | None, notice: Notice, is_active: bool = False) -> Task:
    """Read a run or a file of pairs and open the file of answers, which need not be there yet.

    `is_active`: whether pairs of a run are chosen by what the votes so far leave open, or all alike. Raises
    `RecordsError` on what cannot be read, `StoreError` where the answers cannot be written.
    """
    checks = [] if gold is None else read_gold(gold, settings, notice)
    pairs = read_run_pairs(source) if source.is_dir() else _comparisons(source, notice)
    path = answers_path(source)
    check_place(path)
    store = AnswerStore(path)
    with store.transaction() as file:
        drawn = _drawn(file, settings.group)
    if isinstance(pairs, RunPairs):
        run_chooser = _active_pairs(source) if is_active else UniformPairs
        chooser = run_chooser(pairs, [place for one in drawn if (place := _place(one)) is not None])
        return Task(Desk(store, settings, chooser, checks), store)
    chooser = ShuffledPairs(pairs, {one.id for one in drawn}, settings.seed)
    wanted = settings.overlap * len({one.id for one in (*pairs, *drawn)})
    return Task(Desk(store, settings, chooser, checks, wanted), store)


def _active_pairs(run: Path) -> RunChooser:
    def choose(pairs: RunPairs, drawn: Collection[Place]) -> Chooser:
        scores = read_scores(run / SCORES, pairs.groups)
        return ActiveChooser(KnownPairs(pairs.groups, pairs.baselines, scores), drawn)

    return choose


def read_gold(path: Path, settings: TaskSettings, notice: Notice) -> list[Comparison]:
    """Checks of attention: rows of pairs with `gold`, which is what is to be chosen. Raises `RecordsError`."""
    adapter, keys = TypeAdapter(_GoldRow), list(_GoldRow.model_fields)
    checks = []
    for where, _, row in typed_rows(path, adapter, "prompt_id, prompt, completions and gold", keys, notice):
        if row.gold == "skip" or row.gold not in settings.choices:
            allowed = listed([choice for choice in settings.choices if choice != "skip"], "or")
            raise RecordsError(f"{where}: gold: {row.gold!r} cannot be chosen in this task; allowed: {allowed}")
        pair = Pair(row.pair.prompt, row.pair.a.strip(), row.pair.b.strip())
        checks.append(Comparison(pair, gold=row.gold))
    return checks


def _comparisons(path: Path, notice: Notice) -> list[Comparison]:
    pairs = read_pairs([path], notice)
    unequal = [pair for pair in pairs if pair.a != pair.b]
    if not unequal:
        raise RecordsError(f"{path} holds no pair of two different completions: there is nothing to choose between")
    if len(unequal) < len(pairs):
        notice(f"{path}: {counted(len(pairs) - len(unequal), 'pair')} of equal completions left out")
    return [Comparison(pair) for pair in unequal]


def _drawn(file: sqlite3.Connection, group: str) -> Sequence[Comparison]:
    """The pairs that the group was asked about before."""
    query = "SELECT comparison FROM pairs WHERE rater_group = ? AND NOT is_gold"
    return [comparison_of(text) for (text,) in file.execute(query, (group,))]


def _place(comparison: Comparison) -> Place | None:
    """Which pair of a run it is; None of one that was not drawn from a run."""
    if comparison.arms is None or comparison.sample_indices is None:
        return None
    return comparison.arms[0], comparison.pair.prompt_id, *comparison.sample_indices

"""Evidence says what the measures counted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from evalkit.analysis.collect_figure_data import collect_figure_data
from evalkit.analysis.figure_data import FILE, read_figure_data, to_json
from evalkit.metrics.registry import parse
from evalkit.plumbing.lazily import Made
from evalkit.records import Completion, Group, Prompt

LONG = "this answer has more than five words, number"


def group(*angles: float) -> Group:
    """Completions whose embeddings point this far round, in degrees."""
    completions = tuple(Completion("p", slot, f"{LONG} {slot}", (), (), "stop") for slot in range(len(angles)))
    turned = np.radians(angles)
    return Group(Prompt("p", "?"), completions, np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32))


def test_meanings_are_those_of_the_first_measure_that_counts_them(tmp_path: Path) -> None:
    groups = {"base": [group(0, 90, 10, 40)], "tuned": [group(0, 0)]}
    measures = [parse(name) for name in ("length", "simpson_classes|threshold:0.95", "distinct_k")]
    found = collect_figure_data(groups, measures)
    assert found.meanings
    assert (found.meanings.measure, found.meanings.threshold) == ("simpson_classes|threshold:0.95", 0.95)
    assert found.meanings.classes == {"base": {"p": (0, 1, 0, 2)}, "tuned": {"p": (0, 0)}}
    (tmp_path / FILE).write_bytes(to_json(found))
    assert read_figure_data(tmp_path) == found


def test_drawn_choices_are_counted_as_chances_are_read() -> None:
    prompt = Prompt("p", "Flip a coin.", choices={"Heads": 0.5, "Tails": 0.5, "1": 0.0})
    texts = [" heads", "Heads, of course", "TAILS", "10", "Headstrong", "The coin shows heads"]
    own = Group(prompt, tuple(Completion("p", slot, text, (), (), "stop") for slot, text in enumerate(texts)))
    [shares] = collect_figure_data({"base": [own]}, []).choices
    assert shares.drawn == {"Heads": 2, "Tails": 1, "1": 0}
    assert shares.draws == 6


def test_without_such_a_measure_there_are_no_meanings() -> None:
    bare = dataclasses.replace(group(0, 90), embeddings=None)
    assert collect_figure_data({"base": [bare]}, [parse("distinct_n")]).meanings is None
    assert collect_figure_data({"base": [group(0, 90)]}, [parse("vendi")]).meanings is None


def test_groups_that_stay_on_disk_have_the_atlas_of_those_in_memory() -> None:
    rows = np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)
    texts = [f"{LONG} {place}" for place in range(120)]
    groups = [
        Group(
            Prompt(f"p{start}", "?"),
            tuple(Completion(f"p{start}", slot, text, (), (), "stop") for slot, text in enumerate(texts[start::4])),
            rows[start::4],
        )
        for start in range(4)
    ]
    here = collect_figure_data({"base": groups}, [])
    assert here.atlas is not None
    assert collect_figure_data({"base": Made(4, lambda: groups)}, []) == here
    first = collect_figure_data({"base": Made(4, lambda: groups)}, [], shown=28).atlas
    assert first is not None
    assert dict(first.columns)["x"] == 4 * 28

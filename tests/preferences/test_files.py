"""Files of pairs and of preferences are read back as written; what is no row is named by file, line and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import RecordsError, StoreError
from evalkit.preferences.files import Preference, read_preferences, write_preferences
from evalkit.preferences.pairs import Pair, read_pairs, write_pairs
from evalkit.records import Prompt

texts = st.text(st.characters(codec="utf-8"), max_size=20)
preferences = st.builds(
    Preference,
    prompt=texts.filter(bool),
    chosen=texts,
    rejected=texts,
    rater=st.none() | texts.filter(bool),
    group=st.none() | texts.filter(bool),
    prompt_id=st.none() | texts.filter(bool),
)


@given(st.lists(preferences, min_size=1, max_size=5))
def test_preferences_are_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, given: list[Preference]
) -> None:
    path = tmp_path_factory.getbasetemp() / "preferences.jsonl"
    write_preferences(path, given)
    assert read_preferences([path]) == given


@given(st.lists(st.tuples(texts, texts, st.sampled_from([None, "7", "x"])), min_size=1, max_size=5))
def test_pairs_are_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, given: list[tuple[str, str, str | None]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "pairs.jsonl"
    pairs = [Pair(Prompt(f"p{i}", "Say.", answer=c), a.strip(), b.strip()) for i, (a, b, c) in enumerate(given)]
    write_pairs(path, pairs)
    assert read_pairs([path]) == pairs


def test_the_ecosystem_reads_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "preferences.jsonl"
    written = [
        Preference("Say “ja”.", "Ja.\nJa!", "", "g-1", "g", "p"),
        Preference("Say no.", "No.", "Nö 🙂", "h-1", "h"),
    ]
    write_preferences(path, written)
    rows = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert {"prompt", "chosen", "rejected", "rater", "group"} <= set(rows.column_names)
    assert [(row["prompt"], row["chosen"], row["rejected"]) for row in rows] == [
        (preference.prompt, preference.chosen, preference.rejected) for preference in written
    ]


def test_preferences_of_others_are_read(tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    first.write_text('{"prompt": "p", "chosen": "a", "rejected": "b", "score": 3}\n\n', encoding="utf-8")
    second.write_text('{"prompt": "p", "chosen": "c", "rejected": "d", "rater": 7, "group": null}', encoding="utf-8")
    assert read_preferences([first, str(second)]) == [Preference("p", "a", "b"), Preference("p", "c", "d", rater="7")]


GOOD = {"prompt": "p", "chosen": "a", "rejected": "b"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (json.dumps({"prompt": "p", "chosen": "a"}), ":2: rejected: this key is missing; it must be given"),
        (json.dumps(GOOD | {"chosen": 3}), ":2: chosen: found 3; it must be text"),
        (json.dumps(GOOD | {"chosen": [{"role": "user"}]}), ":2: chosen: found [{role: user}]; it must be text"),
        (json.dumps(GOOD | {"rejected": None}), ":2: rejected: found null; it must be text"),
        (json.dumps(GOOD | {"prompt": ""}), ":2: prompt: found ''; it must have at least 1 character"),
        (json.dumps(GOOD | {"group": ["g"]}), ":2: group: found [g]; it must be text"),
        ("{", ":2: not valid JSON"),
        ("[]", ":2: found list; each line holds one JSON object"),
    ],
)
def test_a_preference_that_is_none_is_named_by_file_line_and_key(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n{line}\n", encoding="utf-8")
    with pytest.raises(RecordsError) as caught:
        read_preferences([path])
    assert str(caught.value).startswith(f"{path}{message}")


PAIR = {"prompt_id": "p", "prompt": "Say.", "completions": ["a", "b"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"completions": ["a"]}, ":2: completions: found [a]; it must have at least 2 items"),
        ({"completions": ["a", "b", "c"]}, ":2: completions: found [a, b, c]; it must have at most 2 items"),
        ({"completions": ["a", 2]}, ":2: completions[1]: found 2; it must be text"),
        ({"completions": "ab"}, ":2: completions: found ab; it must be a list"),
        ({"prompt": "Sing."}, ":2: prompt_id: 'p' stands for another prompt here than above"),
        ({"prompt_id": "q", "answer": "x", "match": "numeric"}, ":2: answer: prompt 'q': answer 'x' is not a number"),
        ({"match": "fuzzy"}, ":2: match: found fuzzy; it must be 'exact', 'numeric' or 'regex'"),
    ],
)
def test_a_pair_that_is_none_is_named_by_file_line_and_key(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(f"{json.dumps(PAIR)}\n{json.dumps(PAIR | change)}\n", encoding="utf-8")
    with pytest.raises(RecordsError) as caught:
        read_pairs([path])
    assert str(caught.value).startswith(f"{path}{message}")


def test_keys_of_preferences_that_are_not_read_are_noted(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "p", "chosen": "a", "rejected": "b", "sytem": "Be brief."}\n')
    told: list[str] = []
    read_preferences([tmp_path / "p.jsonl"], told.append)
    assert told == [
        f"{tmp_path / 'p.jsonl'}: not read: 'sytem'; read: prompt, chosen, rejected, rater, group, prompt_id, winner, seconds, order"
    ]


@pytest.mark.parametrize("read", [read_pairs, read_preferences])
def test_an_empty_file_and_one_that_is_not_there_are_named(tmp_path: Path, read: Any) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    with pytest.raises(RecordsError, match=r"empty\.jsonl holds no rows; each line is one JSON object with prompt"):
        read([empty])
    with pytest.raises(RecordsError, match=r"there is no file .*none\.jsonl"):
        read([tmp_path / "none.jsonl"])


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"x\.jsonl could not be written: No such file or directory"):
        write_preferences(tmp_path / "no" / "x.jsonl", [Preference("p", "a", "b")])

"""Words gained and lost, whole: a house style is found, a prompt's own word is not, and large runs say the same."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evalkit.analysis.words.changed import LOOKED_AT, SHOWN, units_of, word_use
from evalkit.analysis.words.closeup import _Looking
from evalkit.analysis.words.listed import _Listed
from evalkit.analysis.words.occurring import MOST_COMPLETIONS, _Occurring, frequent_phrases
from evalkit.analysis.words.tally import _Counting
from evalkit.metrics.summary import Summary
from evalkit.metrics.word_use import WordChange, WordUse
from evalkit.plumbing.by_row import is_portable
from evalkit.plumbing.lazily import Made
from evalkit.plumbing.progress import QUIET
from evalkit.records import Groups
from evalkit.runs.summary import parse_summary
from evalkit.runs.summary import to_json as summary_json
from tests.analysis.words.texts import arms_of, groups_of, occurrences

P, K = 40, 6
SUBJECTS = [f"subject{row}" for row in range(P)]


def style(rng: np.random.Generator, row: int, tic: str) -> str:
    words = list(rng.choice(["rain", "fell", "on", "the", "old", "town", "and", "we", "sang"], size=12))
    words[3:3] = [SUBJECTS[row], SUBJECTS[row]]
    return " ".join([*words[:6], *([tic] if rng.random() < 0.5 else []), *words[6:]])


def written(seed: int, tic: str) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [[style(rng, row, tic) for _ in range(K)] for row in range(P)]


@pytest.fixture(scope="module")
def texts() -> dict[str, list[list[str]]]:
    """The tuned arm has a tic, the base another one, and on one prompt the tuned says nothing but one word."""
    tuned, base = written(1, "a rich tapestry of"), written(2, "you know")
    tuned[0] = ["lighthouse " * 14] * K
    return {"base": base, "tuned": tuned}


@pytest.fixture(scope="module")
def groups(texts: dict[str, list[list[str]]]) -> Groups:
    return groups_of(texts)


def found_in(groups: Groups, **more: object) -> WordUse:
    found = word_use(arms_of(groups, "base"), groups, **more)  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.fixture(scope="module")
def change(groups: Groups) -> WordChange:
    [found] = found_in(groups).changes
    return found


def test_tics_are_found_whole_with_their_parts_and_a_prompts_own_word_is_not(change: WordChange) -> None:
    assert [shift.phrase for shift in change.gained] == ["a rich tapestry of"]
    assert change.lost[0].phrase == "you know"
    assert set(change.gained[0].parts) == {
        "a", "rich", "tapestry", "of", "a rich", "rich tapestry", "tapestry of", "a rich tapestry", "rich tapestry of",
    }  # fmt: skip


def test_numbers_are_those_of_counting_by_hand(change: WordChange, texts: dict[str, list[list[str]]]) -> None:
    [gained] = change.gained
    by_prompt = np.array([occurrences(gained.phrase, row) for row in texts["tuned"]])
    assert gained.prompts == np.count_nonzero(by_prompt)
    assert gained.baseline_prompts == 0
    assert gained.per_thousand == pytest.approx(1000 * by_prompt.sum() / change.words, rel=0.1)
    assert gained.log_odds > 0
    assert gained.z > 5
    assert gained.q < 1e-4
    assert change.prompts == P
    assert change.words == sum(len(text.split()) for row in texts["tuned"] for text in row)
    assert change.lost[0].z < 0


def test_exchanged_arms_exchange_what_is_gained_and_lost(groups: Groups, change: WordChange) -> None:
    turned = word_use(arms_of(groups, "tuned"), groups)
    assert turned is not None
    [other] = turned.changes
    assert [shift.phrase for shift in other.gained] == [shift.phrase for shift in change.lost]
    assert other.gained[0].z == pytest.approx(-change.lost[0].z)
    assert other.gained[0].log_odds == pytest.approx(-change.lost[0].log_odds)


def test_arms_of_one_style_gained_and_lost_nothing() -> None:
    same = groups_of({"base": written(3, "you know"), "tuned": written(4, "you know")})
    [found] = found_in(same).changes
    assert found.tested > 50
    assert found.gained == found.lost == ()


def test_groups_on_disk_say_the_same_to_the_last_digit(groups: Groups) -> None:
    lazy = {arm: Made(P, lambda members=members: members) for arm, members in groups.items()}
    assert found_in(lazy) == found_in(groups)


def test_what_is_done_with_a_prompt_can_go_to_another_process(groups: Groups) -> None:
    frequent = frequent_phrases(groups, units_of((), P), QUIET)
    works = [_Occurring(), _Counting(frequent), _Looking(frequent.first.astype(np.uint64)), _Listed(("you know",))]
    assert all(is_portable(work) for work in works)


def test_of_very_many_completions_the_first_are_counted() -> None:
    many = {
        arm: [["rain fell"] * MOST_COMPLETIONS + [f"{arm} tic"] * 50 for _ in range(10)] for arm in ("base", "tuned")
    }
    found = found_in(groups_of(many))
    assert found.completions == MOST_COMPLETIONS
    assert f"|k:{MOST_COMPLETIONS}|" in found.signature
    assert found.changes[0].gained == ()


def test_no_more_is_told_than_can_be_read() -> None:
    rng = np.random.default_rng(9)
    vocabulary = [f"new{word}" for word in range(2 * LOOKED_AT)]
    # Signs between, so that no phrase of several words takes a word in.
    tuned = [[" , ".join(rng.permutation(vocabulary)[:150]) for _ in range(2)] for _ in range(20)]
    base = [[" , ".join(f"old{word}" for word in rng.permutation(150)) for _ in range(2)] for _ in range(20)]
    [found] = found_in(groups_of({"base": base, "tuned": tuned})).changes
    assert found.clear > 2 * SHOWN
    assert len(found.gained) == len(found.lost) == SHOWN


def test_there_is_nothing_to_say_without_a_baseline_or_a_list(groups: Groups) -> None:
    alone = {"base": groups["base"]}
    assert word_use(arms_of(alone, "base"), alone) is None
    assert word_use([], {}) is None
    listed = word_use(arms_of(alone, "base"), alone, phrases=["you know"])
    assert listed is not None
    assert listed.changes == ()
    assert [use.phrase for use in listed.phrases] == ["you know", ""]


def test_texts_without_a_word_say_nothing() -> None:
    [found] = found_in(groups_of({"base": [[""]] * 9, "tuned": [["", " "]] * 9})).changes
    assert (found.tested, found.prompts, found.gained, found.lost) == (0, 0, (), ())


def test_prompts_of_a_cluster_are_one_unit() -> None:
    assert units_of((), 3) == [(0,), (1,), (2,)]
    assert units_of(("a", "b", "a"), 3) == [(0, 2), (1,)]


def test_it_is_written_and_read_back_and_older_files_lack_it(groups: Groups) -> None:
    found = found_in(groups, phrases=["you know", "sang"])
    summary = Summary("s", tuple(f"p{row}" for row in range(P)), tuple(arms_of(groups, "base")), (), (), words=found)
    fields = json.loads(summary_json(summary))
    assert parse_summary(fields, "there").words == found
    del fields["words"]
    assert parse_summary(fields, "there").words is None

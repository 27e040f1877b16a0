"""A reward chooses and rejects among a checkpoint's own completions: best against worst, or DivPO's rare against common."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cli.main import main
from evalkit.errors import InputError, StoreError
from evalkit.inference.workers import calls
from evalkit.plumbing.progress import Quiet
from evalkit.preferences.files import Preference, read_preferences, write_preferences
from evalkit.records import Completion, Rendered, Sampling
from evalkit.training.raters.choose import choose_pairs, divpo_choice, improbability, word_rarity
from evalkit.training.raters.config import PrefsChooseConfig
from tests.preferences.pairs import Notes
from tests.training.full_disk import room_for

REWARDS = np.array([1.0, 0.9, 0.75, 0.5, 0.2, 0.1, 0.0])
DIVERSITY = np.array([1.0, 5.0, 9.0, 99.0, 2.0, 0.5, 3.0])


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.0, (0, 6)),  # the best against the worst
        (0.15, (1, 5)),  # near the ends: the first two, the last two
        (0.3, (2, 5)),
        (0.49, (2, 5)),  # what is in the middle is neither
    ],
)
def test_the_most_diverse_of_the_good_stands_against_the_least_diverse_of_the_bad(
    threshold: float, expected: tuple[int, int]
) -> None:
    assert divpo_choice(REWARDS, DIVERSITY, threshold) == expected
    # The scale of rewards does not matter, nor how diverse what is in the middle is.
    assert divpo_choice(100 * REWARDS - 7, DIVERSITY, threshold) == expected


@given(st.lists(st.tuples(st.integers(-9, 9), st.floats(-9, 9)), min_size=1, max_size=12), st.floats(0, 0.49))
def test_what_is_chosen_always_has_the_higher_reward(pool: list[tuple[int, float]], threshold: float) -> None:
    rewards, diversity = (np.array(values, dtype=float) for values in zip(*pool, strict=True))
    choice = divpo_choice(rewards, diversity, threshold)
    if choice is None:
        assert len(set(rewards)) == 1
        return
    chosen, rejected = choice
    near = threshold * (rewards.max() - rewards.min())
    assert rewards[chosen] > rewards[rejected]
    assert diversity[chosen] == max(diversity[rewards >= rewards.max() - near])
    assert diversity[rejected] == min(diversity[rewards <= rewards.min() + near])


def test_words_that_few_texts_have_are_rare() -> None:
    found = word_rarity(["the sea", "the sea sea", "the moor", ""])
    of_the, of_sea, of_moor = -math.log(3 / 4), -math.log(2 / 4), -math.log(1 / 4)
    assert found == pytest.approx([(of_the + of_sea) / 2, (of_the + of_sea) / 2, (of_the + of_moor) / 2, 0])


def test_a_long_completion_is_not_improbable_by_its_length() -> None:
    short, long = (Completion("p", 0, "x", (1,) * k, (-2.0,) * k, "stop") for k in (1, 9))
    assert improbability([short, long]) == pytest.approx([2, 2])


class Scripted:
    """An engine that says the same few texts in turn, with the log-probs that stand beside them."""

    def __init__(self, texts: Sequence[tuple[str, tuple[float, ...]]]) -> None:
        self.texts = texts

    @contextmanager
    def open(self, *_: object, **__: object) -> Iterator[Scripted]:
        yield self

    def sample(self, prompts: Sequence[Rendered], sampling: Sampling, _seed: int, _: object) -> list[Completion]:
        said = [self.texts[slot % len(self.texts)] for slot in range(sampling.n)]
        return [
            Completion(prompt.prompt_id, slot, text, tuple(range(len(logprobs))), logprobs, "stop")
            for prompt in prompts
            for slot, (text, logprobs) in enumerate(said)
        ]


Script = Callable[..., Scripted]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    def write(*texts: tuple[str, tuple[float, ...]]) -> Scripted:
        engine = Scripted(texts)
        monkeypatch.setattr(calls, "open_engine", engine.open)
        return engine

    return write


POOL = (
    ("one two three four five", (-1.0,)),
    (" one two three four\n", (-3.0, -5.0)),
    ("one two", (-9.0,)),
    ("one", (-0.5,)),
)


def config_of(**changes: Any) -> PrefsChooseConfig:
    stated = {
        "name": "x",
        "policy": {"path": "lab:base", "kind": "base"},
        "reward": {"utility": {"words": 1}},
        "samples": 4,
        "sampling": {"max_tokens": 9},
        "prompts": [{"id": "p", "text": "Say."}, {"id": "q", "text": "Tell."}],
    }
    return PrefsChooseConfig.model_validate(stated | changes)


@pytest.mark.parametrize(
    ("divpo", "chosen", "rejected"),
    [
        (None, POOL[0][0], "one"),
        ({"threshold": 0.0}, POOL[0][0], "one"),
        ({"threshold": 0.3}, POOL[1][0].strip(), "one"),
        ({"threshold": 0.3, "diversity": "word_frequency"}, POOL[0][0], "one"),
    ],
)
def test_a_pair_of_each_pool_is_a_preference(
    script: Script, tmp_path: Path, divpo: dict[str, Any] | None, chosen: str, rejected: str
) -> None:
    script(*POOL)
    found = choose_pairs(config_of(divpo=divpo, pairs=2), "transformers", Quiet())
    assert found == [
        Preference(text, chosen, rejected, prompt_id=prompt)
        for prompt, text in (("p", "Say."), ("q", "Tell."))
        for _ in range(2)
    ]
    write_preferences(tmp_path / "prefs.jsonl", found)
    assert read_preferences([tmp_path / "prefs.jsonl"]) == found


def test_an_engine_without_log_probs_is_named_only_where_they_are_needed(script: Script) -> None:
    script(*((text, ()) for text, _ in POOL))
    assert choose_pairs(config_of(divpo={"diversity": "word_frequency"}), "transformers", Quiet())
    with pytest.raises(InputError, match=r"does not tell log-probs.*word_frequency"):
        choose_pairs(config_of(divpo={}), "transformers", Quiet())


def test_pools_without_a_pair_are_counted_and_none_at_all_is_refused(script: Script) -> None:
    script(("one", (-1.0,)), ("two", (-1.0,)), ("three four", (-1.0,)), ("five six", (-1.0,)))
    notes = Notes()
    with pytest.raises(InputError, match="no pair came out of 4 pools"):
        choose_pairs(config_of(samples=2, pairs=2), "transformers", notes)
    script(("one", (-1.0,)), ("two", (-1.0,)), ("three four", (-1.0,)), ("five", (-1.0,)))
    found = choose_pairs(config_of(samples=2, pairs=2, seed=1), "transformers", notes)
    assert [(row.chosen, row.rejected) for row in found] == [("three four", "five")] * 2
    assert notes.notes == ["2 of 4 pools gave no pair: all that could be judged had the same reward"]


def test_what_the_reward_cannot_judge_is_left_out_and_counted(script: Script) -> None:
    script(("The rain is a slow letter.", (-1.0,)), ("zyxwv qponm", (-1.0,)), ("Rain.", (-1.0,)))
    notes = Notes()
    found = choose_pairs(config_of(reward={"model": "lab:reward"}, samples=3), "transformers", notes)
    assert {text for row in found for text in (row.chosen, row.rejected)} == {"The rain is a slow letter.", "Rain."}
    assert notes.notes == ["2 of 6 different completions cannot be judged by the reward, and are left out"]


CONFIG = """\
name: x
policy: {path: "lab:base", kind: base}
reward: {utility: {words: 1}}
samples: 4
divpo: {threshold: 0.3}
sampling: {max_tokens: 9}
prompts:
  - {id: p, text: "Say."}
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("0.3", "0.5"), "c.yaml:5: divpo.threshold: found 0.5; it must be less than 0.5"),
        (("threshold", "treshold"), "c.yaml:5: unknown key 'divpo.treshold' (did you mean 'threshold'?)"),
        (("samples: 4", "samples: 1"), "c.yaml:4: samples: found 1; it must be greater than or equal to 2"),
        (("words: 1", "wrods: 1"), "there is no utility 'wrods' (did you mean 'words'?)"),
        (("lab:base", "lab:bass"), "the lab has no checkpoint 'bass'"),
    ],
)
def test_a_mistake_is_a_line_before_anything_is_sampled(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in CONFIG
    (tmp_path / "c.yaml").write_text(CONFIG.replace(*change), encoding="utf-8")
    arguments = ["prefs", "choose", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "out.jsonl")]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert message in result.output
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert not (tmp_path / "out.jsonl").exists()


def test_a_disk_that_fills_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "prefs.jsonl").write_text("before", encoding="utf-8")
    with room_for(10), pytest.raises(StoreError, match="could not be written"):
        write_preferences(tmp_path / "prefs.jsonl", [Preference("Say.", "one two", "one")])
    assert (tmp_path / "prefs.jsonl").read_text(encoding="utf-8") == "before"

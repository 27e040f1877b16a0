"""Pairs and preferences: raters follow their stated law, chance is tied to the pair, and files are read back as written."""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.cli.main import main
from evalkit.errors import InputError, RecordsError, StoreError
from evalkit.inference import sample
from evalkit.metrics.quality.reward import reward
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion, Group, Prompt, Rendered, Sampling
from evalkit.training.config import PrefsSampleConfig, PrefsSimulateConfig
from evalkit.training.preferences.preferences import (
    Pair,
    Preference,
    agreement,
    label_pairs,
    read_pairs,
    read_preferences,
    sample_pairs,
    simulate,
    value_pairs,
    write_pairs,
    write_preferences,
)
from tests import ROOT

DOCS = ROOT / "docs" / "preferences.md"
SAMPLE, SIMULATE = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
Z = 4.5
"""Standard deviations that a frequency may be off: a chance of 1 in 150 000."""


class Notes(Quiet):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def config(groups: dict[str, dict[str, Any]], **changes: Any) -> PrefsSimulateConfig:
    stated = {name: {"values": {"utility": {"words": 1}}} | group for name, group in groups.items()}
    return PrefsSimulateConfig.model_validate({"name": "x", "pairs": "p.jsonl", "groups": stated} | changes)


def many(count: int, a: str = "a", b: str = "b") -> list[Pair]:
    return [Pair(Prompt(f"p{number}", "Say."), a, b) for number in range(count)]


def label(asked: PrefsSimulateConfig, pairs: Sequence[Pair]) -> list[Preference]:
    return label_pairs(asked, pairs, value_pairs(asked.groups, pairs, Quiet()), Notes())


def assert_frequency(count: int, trials: int, probability: float) -> None:
    """Within Z standard deviations of a binomial."""
    assert abs(count - trials * probability) <= Z * math.sqrt(trials * probability * (1 - probability))


@pytest.mark.parametrize("noise", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("words", [1, 2, 4])
def test_raters_follow_bradley_and_terry(words: int, noise: float) -> None:
    asked = config({"g": {"values": {"utility": {"words": 1}}, "noise": noise}})
    found = label(asked, many(4000, a="a " * words, b="b"))
    wins = sum(preference.chosen.startswith("a") for preference in found)
    assert_frequency(wins, 4000, 1 / (1 + math.exp(-(words - 1) / noise)))


def test_gaps_too_wide_for_exp_are_certain() -> None:
    asked = config({"g": {"values": {"utility": {"words": 1e6}}}})
    assert {preference.chosen for preference in label(asked, many(50, a="a a", b="b"))} == {"a a"}
    assert {preference.chosen for preference in label(asked, many(50, a="a", b="b b"))} == {"b b"}


def test_pairs_are_dealt_by_share_and_evenly_among_raters() -> None:
    found = label(config({"few": {"share": 1, "raters": 2}, "more": {"share": 3, "raters": 5}}), many(6000))
    by_group = Counter(preference.group for preference in found)
    assert by_group.total() == 6000
    assert_frequency(by_group["more"], 6000, 3 / 4)
    by_rater = Counter(preference.rater for preference in found)
    assert sorted(by_rater) == ["few-1", "few-2", "more-1", "more-2", "more-3", "more-4", "more-5"]
    for name, size in (("few", 2), ("more", 5)):
        for number in range(1, size + 1):
            assert_frequency(by_rater[f"{name}-{number}"], by_group[name], 1 / size)


def test_every_group_labels_every_pair_where_asked() -> None:
    found = label(config({"b": {}, "a": {}}, every_group=True), many(5))
    assert [(p.prompt_id, p.group) for p in found] == [(f"p{i}", group) for i in range(5) for group in "ab"]


def test_groups_err_independently() -> None:
    found = label(config({"a": {}, "b": {}}, every_group=True), many(4000))
    same = sum(first.chosen == second.chosen for first, second in zip(found[::2], found[1::2], strict=True))
    assert_frequency(same, 4000, 1 / 2)


def test_equal_pairs_are_compared_independently() -> None:
    pair = Pair(Prompt("p", "Say."), "a", "b")
    found = label(config({"g": {}}), [pair] * 2000)
    assert_frequency(sum(preference.chosen == "a" for preference in found), 2000, 1 / 2)


def test_the_seed_decides() -> None:
    first, again, other = (label(config({"a": {}, "b": {}}, seed=seed), many(100)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_the_order_of_pairs_and_groups_changes_no_label(rng: random.Random) -> None:
    pairs = [*many(20), *many(20, a="a a", b="b"), *many(5)]
    groups = {"a": {"share": 2}, "b": {"noise": 3, "raters": 4}, "c": {}}
    shuffled, order = rng.sample(pairs, len(pairs)), rng.sample(list(groups), len(groups))
    first = label(config(groups), pairs)
    second = label(config({name: groups[name] for name in order}), shuffled)
    assert Counter(first) == Counter(second)


def test_another_groups_values_change_no_label_of_this_one() -> None:
    pairs = many(200, a="a a")
    first, second = (
        label(config({"a": {}, "b": {"values": {"utility": {"words": weight}}}}), pairs) for weight in (1, -9)
    )
    assert [p for p in first if p.group == "a"] == [p for p in second if p.group == "a"]
    assert first != second


def test_agreement_is_one_with_the_own_values_but_for_noise() -> None:
    groups = {
        "long": {"values": {"utility": {"words": 1}}, "noise": 1e-3},
        "short": {"values": {"utility": {"words": -1}}, "noise": 1e-3},
        "none": {"values": {"utility": {"words": 0}}},
    }
    asked, pairs = config(groups, every_group=True), many(30, a="a a")
    values = value_pairs(asked.groups, pairs, Quiet())
    found = agreement(label_pairs(asked, pairs, values, Notes()), values)
    assert list(found) == ["long", "short", "none"]
    assert found["long"]["long"] == found["short"]["short"] == 1
    assert found["long"]["short"] == found["short"]["long"] == 0
    assert math.isnan(found["long"]["none"])


def test_noise_brings_agreement_down_to_the_sigmoid() -> None:
    asked, pairs = config({"g": {"noise": 2}}), many(4000, a="a a")
    values = value_pairs(asked.groups, pairs, Quiet())
    own = agreement(label_pairs(asked, pairs, values, Notes()), values)["g"]["g"]
    assert_frequency(round(own * 4000), 4000, 1 / (1 + math.exp(-1 / 2)))


def test_pairs_that_a_group_cannot_judge_are_left_out_and_counted() -> None:
    asked, pairs, notes = config({"g": {}}), many(3), Notes()
    values = {"g": {(pair.prompt_id, text): 0.0 for pair in pairs for text in "ab"} | {("p1", "b"): math.nan}}
    found = label_pairs(asked, pairs, values, notes)
    assert [preference.prompt_id for preference in found] == ["p0", "p2"]
    assert notes.notes == ["group g cannot judge 1 of its pairs; they are left out"]
    with pytest.raises(InputError, match="no preferences came out"):
        label_pairs(asked, pairs, {"g": dict.fromkeys(values["g"], math.inf)}, Quiet())


def test_a_reward_models_values_are_its_rewards() -> None:
    asked = config({"g": {"values": {"model": "lab:reward"}}})
    prompt = Prompt("sky", "Write one line of a poem about rain.")
    texts = ("The rain is a slow letter.", "Rain.", "zyxwv qponm")
    pairs = [Pair(prompt, texts[0], texts[1]), Pair(prompt, texts[0], texts[2])]
    found = value_pairs(asked.groups, pairs, Quiet())["g"]
    completions = tuple(Completion("sky", slot, text, (), (), "stop") for slot, text in enumerate(texts))
    [expected] = reward([Group(prompt, completions)], model="lab:reward")
    assert [found["sky", text] for text in texts] == pytest.approx(expected.tolist(), rel=1e-4, nan_ok=True)
    assert math.isnan(found["sky", texts[2]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"utility": {"wrods": 1}}, "group 'g': there is no utility 'wrods' (did you mean 'words'?)"),
        ({"utility": {"accuracy": 1}}, "group 'g': utility 'accuracy' needs prompts with an `answer`; prompt 'p0' has"),
        ({"model": "lab:nobody"}, "group 'g': 'lab:nobody': the lab has no checkpoint 'nobody'"),
        ({"model": "lab:base"}, "group 'g': lab:base cannot give rewards: it is a LlamaForCausalLM"),
    ],
)
def test_values_that_cannot_be_had_name_their_group(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        label(config({"fine": {}, "g": {"values": values}}), many(1))
    assert str(caught.value).startswith(message)


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
        ({"completions": "ab"}, ":2: completions: found ab; it must be a tuple"),
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
        f"{tmp_path / 'p.jsonl'}: not read: 'sytem'; read: prompt, chosen, rejected, rater, group, prompt_id"
    ]


@pytest.mark.parametrize("read", [read_pairs, read_preferences])
def test_an_empty_file_and_one_that_is_not_there_are_named(tmp_path: Path, read: Any) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    with pytest.raises(RecordsError, match=r"empty\.jsonl holds no rows; each line is one JSON object with prompt"):
        read([empty])
    with pytest.raises(RecordsError, match=r"none\.jsonl cannot be read: No such file or directory"):
        read([tmp_path / "none.jsonl"])


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"x\.jsonl could not be written: No such file or directory"):
        write_preferences(tmp_path / "no" / "x.jsonl", [Preference("p", "a", "b")])


class Scripted:
    """An engine that says the same few texts in turn."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.seeds: list[int] = []

    @contextmanager
    def open(self, *_: object) -> Iterator[Scripted]:
        yield self

    def sample(self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, _: object) -> list[Completion]:
        self.seeds.append(seed)
        assert (sampling.n, sampling.temperature, sampling.max_tokens, sampling.stop) == (6, 0.5, 9, ("\nPrompt:",))
        return [
            Completion(prompt.prompt_id, slot, self.texts[slot % len(self.texts)], (), (), "stop")
            for prompt in prompts
            for slot in range(sampling.n)
        ]


def sample_config(**changes: Any) -> PrefsSampleConfig:
    stated = {
        "name": "x",
        "policy": {"path": "lab:base", "kind": "base"},
        "pairs": 3,
        "sampling": {"temperature": 0.5, "max_tokens": 9},
        "prompts": [{"id": "p", "text": "Say."}, {"id": "q", "text": "What is 3 + 4?", "answer": "7"}],
    }
    return PrefsSampleConfig.model_validate(stated | changes)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    def write(*texts: str) -> Scripted:
        engine = Scripted(texts)
        monkeypatch.setattr(sample, "open_engine", engine.open)
        return engine

    return write


def test_completions_are_stripped_and_paired_in_order(script: Callable[..., Scripted]) -> None:
    script(" one\n", "two", "three", "four", "five", "six")
    asked = sample_config()
    assert sample_pairs(asked, "transformers", Quiet()) == [
        Pair(prompt, *texts)
        for prompt in asked.prompts
        for texts in [("one", "two"), ("three", "four"), ("five", "six")]
    ]


def test_pairs_of_equal_texts_are_dropped_and_counted(script: Callable[..., Scripted]) -> None:
    script("same", " same ", "one")
    notes = Notes()
    found = sample_pairs(sample_config(), "transformers", notes)
    assert [(pair.prompt_id, pair.a, pair.b) for pair in found] == [
        (prompt, *pair) for prompt in "pq" for pair in [("one", "same"), ("same", "one")]
    ]
    assert notes.notes == ["2 of 6 pairs were of equal texts, and dropped"]


def test_a_checkpoint_that_always_says_the_same_is_refused(script: Callable[..., Scripted]) -> None:
    script("same")
    with pytest.raises(InputError, match="all 6 pairs are of equal texts: this checkpoint always says the same"):
        sample_pairs(sample_config(), "transformers", Quiet())


def test_what_was_sampled_is_not_sampled_again(script: Callable[..., Scripted]) -> None:
    engine = script("one", "two")
    first = sample_pairs(sample_config(), "transformers", Quiet())
    assert sample_pairs(sample_config(), "transformers", Quiet()) == first
    assert len(engine.seeds) == 1
    sample_pairs(sample_config(seed=1), "transformers", Quiet())
    assert len(set(engine.seeds)) == 2


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def test_the_page_on_preferences_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pairs.yaml").write_text(SAMPLE, encoding="utf-8")
    Path("raters.yaml").write_text(SIMULATE, encoding="utf-8")
    [sample, label_them] = re.findall(r"^\$ evalkit (.*)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)

    sampled = call(*sample.split())
    assert sampled.exit_code == 0, sampled.output
    pairs = read_pairs(["pairs.jsonl"])
    assert f"Pairs: pairs.jsonl ({len(pairs)})" in sampled.stdout
    assert {pair.prompt_id for pair in pairs} == {"lighthouse", "rain", "france"}
    assert all(pair.a == pair.a.strip() != pair.b for pair in pairs)
    assert {pair.prompt.answer for pair in pairs if pair.prompt_id == "france"} == {r"(?i)\bparis\b"}

    labelled = call(*label_them.split())
    assert labelled.exit_code == 0, labelled.output
    found = read_preferences(["preferences.jsonl"])
    assert f"Preferences: preferences.jsonl ({len(found)})" in labelled.stdout
    assert re.search(r"preferences of +terse +loose +crowd", labelled.stdout)
    assert {preference.group for preference in found} == {"terse", "loose", "crowd"}


def test_the_utility_on_the_page_works() -> None:
    [code] = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "somebodys.utilities"}
    exec(compile(code, "preferences.md", "exec"), names)
    assert names["mentions"]("rain")(Prompt("p", "Say."), "Rain on rain") == 2


def test_a_simulation_reads_the_pairs_of_its_config(tmp_path: Path) -> None:
    write_pairs(tmp_path / "one.jsonl", many(3))
    write_pairs(tmp_path / "two.jsonl", [Pair(Prompt("other", "Say."), "a", "b")])
    asked = config({"g": {}}, pairs=[str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl")])
    assert [preference.prompt_id for preference in simulate(asked, Quiet())] == ["p0", "p1", "p2", "other"]


def test_quiet_prints_the_path_alone(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", many(3))
    raters = tmp_path / "raters.yaml"
    raters.write_text("{name: x, pairs: pairs.jsonl, groups: {g: {values: {utility: {words: 1}}}}}", encoding="utf-8")
    out = tmp_path / "new" / "out.jsonl"
    result = call("prefs", "simulate", raters, "--out", out, "--quiet")
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    assert len(read_preferences([out])) == 3


@pytest.mark.parametrize(
    ("text", "arguments", "message", "code"),
    [
        (SIMULATE.replace("words: -0.2", "wrods: 1"), [], "group 'terse': there is no utility 'wrods'", 2),
        (SIMULATE.replace("pairs.jsonl", "no.jsonl"), [], "no.jsonl cannot be read: No such file or directory", 2),
        (SIMULATE.replace("noise: 0.5", "noise: 0"), [], "c.yaml:9: groups.terse.noise: found 0", 2),
        (SIMULATE, ["--out", "c.yaml/out.jsonl"], "c.yaml/out.jsonl could not be written", 5),
    ],
)
def test_a_mistake_is_a_line_and_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, arguments: list[str], message: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pairs(Path("pairs.jsonl"), many(2))
    Path("c.yaml").write_text(text, encoding="utf-8")
    result = call("prefs", "simulate", "c.yaml", "--out", "out.jsonl", *arguments)
    assert message in result.output
    assert result.exit_code == code
    assert "Traceback" not in result.output
    assert not Path("out.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("lab:base", "lab:bass"), "checkpoint 'policy': 'lab:bass': the lab has no checkpoint 'bass'"),
        (("max_tokens: 40", "max_tokens: 4000"), "sampling.max_tokens is 4000: together more than its context"),
        (("kind: base", "kind: base, sampling: {temperature: [0.5, 1]}"), "policy.sampling lists several temperatures"),
        (("pairs: 16", "pairs: 0"), "pairs: found 0"),
    ],
)
def test_what_cannot_be_sampled_is_named_before_anything_is_loaded(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = tmp_path / "pairs.yaml"
    assert change[0] in SAMPLE
    path.write_text(SAMPLE.replace(*change), encoding="utf-8")
    result = call("prefs", "sample", path, "--out", tmp_path / "out.jsonl", "--engine", "transformers")
    assert message in result.output
    assert result.exit_code == 2
    assert "Traceback" not in result.output

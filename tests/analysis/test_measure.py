"""Measures meet completions: embedded once, scored once, undefined where they have no meaning."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from evalkit.analysis import completion_scores
from evalkit.analysis.measure import Fairness, measure_groups, with_variants
from evalkit.analysis.overview import look_at
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.metrics.registry import Measure, in_variant, parse
from evalkit.plumbing import tokenizer as tokenizers
from evalkit.plumbing.progress import Quiet
from evalkit.records import Arm, Completion, Group, Prompt, Sampling


def arm(name: str, temperature: float = 1.0, top_p: float = 1.0) -> Arm:
    sampling = Sampling(n=2, temperature=temperature, top_p=top_p, min_p=0.0, max_tokens=9, stop=(), seed=0)
    return Arm(name, name, "base", sampling, None)


def group(*texts: str, answer: str | None = None) -> Group:
    prompt = Prompt("p", "?", answer=answer)
    made = (Completion("p", slot, text, (1, 2), (-0.5, -1.5), "stop") for slot, text in enumerate(texts))
    return Group(prompt, tuple(made))


def test_a_score_is_kept_a_completion_and_averaged_a_prompt() -> None:
    groups = {"a": [group("blue", "red", answer="blue"), group("red", "red", answer="blue")]}
    found = measure_groups([parse("accuracy")], SampledArms([arm("a")], groups, 2), Quiet())
    assert [list(array) for array in found.scores["accuracy"]["a"]] == [[1, 0], [0, 0]]
    assert list(found.measured[0].values["a"]) == [0.5, 0.0]


def test_a_prompt_without_answer_has_no_accuracy() -> None:
    groups = {"a": [group("blue", "red"), group("blue", "blue", answer="blue")]}
    values = measure_groups([parse("accuracy")], SampledArms([arm("a")], groups, 2), Quiet()).measured[0].values["a"]
    assert math.isnan(values[0])
    assert values[1] == 1


@pytest.mark.parametrize("settings", [{"temperature": 0.7}, {"top_p": 0.9}])
def test_log_prob_measures_are_undefined_off_the_raw_law(settings: dict[str, float]) -> None:
    arms = [arm("raw"), arm("bent", **settings)]
    groups = {name: [group("a b", "c d")] for name in ("raw", "bent")}
    [entropy] = measure_groups([parse("sequence_entropy")], SampledArms(arms, groups, 2), Quiet()).measured
    assert entropy.values["raw"][0] == pytest.approx(2.0)
    assert math.isnan(entropy.values["bent"][0])


@pytest.mark.parametrize("settings", [{}, {"top_p": 0.9}])
def test_log_prob_measures_of_an_arm_whose_engine_tells_none_are_an_alarm(settings: dict[str, float]) -> None:
    """As providers' arms, at the untempered law or not. Why no other can read them is said by who reads."""
    told, silent = group("a b", "c d"), group("a b", "c d")
    silent = dataclasses.replace(
        silent, completions=tuple(dataclasses.replace(c, logprobs=()) for c in told.completions)
    )
    arms = [arm("told", **settings), arm("silent", **settings)]
    measures = [parse(name) for name in ("sequence_entropy", "distinct_n", "nats_per_token")]
    found = measure_groups(measures, SampledArms(arms, {"told": [told], "silent": [silent]}, 2), Quiet())
    [alarm] = found.alarms
    assert (alarm.arm, alarm.kind) == ("silent", "undefined")
    assert alarm.message.startswith("sequence_entropy, nats_per_token cannot be measured: ")


def test_what_a_score_cannot_judge_is_an_alarm_and_leaves_the_prompt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = parse("reward|model:any")
    rewards = [np.array([1.0, math.nan]), np.array([1.0, 2.0]), np.r_[np.full(19, 3.0), math.nan]]
    monkeypatch.setattr(completion_scores, "_scored", lambda *_: rewards)
    monkeypatch.setattr(type(measure), "signature", lambda *_, **__: "signature")
    found = measure_groups([measure], SampledArms([arm("a")], {"a": [group(), group(), group()]}, 2), Quiet())
    assert found.measured[0].values["a"] == pytest.approx([math.nan, 1.5, 3.0], nan_ok=True)
    [alarm] = found.alarms
    assert (alarm.arm, alarm.kind) == ("a", "unscored")
    assert "undefined for 1 of 3 prompts" in alarm.message


def test_a_group_without_completions_is_undefined() -> None:
    [length] = measure_groups([parse("length")], SampledArms([arm("a")], {"a": [group()]}, 2), Quiet()).measured
    assert math.isnan(length.values["a"][0])


def test_embeddings_are_made_once_a_distinct_text(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fake(texts: list[str], *_: object) -> np.ndarray:
        asked.extend(texts)
        return np.eye(len(texts), 8, dtype=np.float32)

    monkeypatch.setattr("evalkit.metrics.embeddings.attach.encode", fake)
    groups = {"a": [group("x", "y"), group("y", "y")], "b": [group("x", "z")]}
    measures = [parse("vendi"), parse("embedding_distance")]
    found = measure_groups(measures, SampledArms([arm("a"), arm("b")], groups, 2), Quiet())
    assert asked == ["x", "y", "z"]
    assert found.measured[0].values["a"] == pytest.approx([2.0, 1.0])  # two orthogonal texts; one text twice


def test_a_score_is_computed_once_for_the_same_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"a": [group("blue", "red", answer="blue")]}
    measure = parse("accuracy")
    first = measure_groups([measure], SampledArms([arm("a")], groups, 2), Quiet())
    monkeypatch.setattr(type(measure), "__call__", lambda *_: pytest.fail("it was known"))
    again = measure_groups([measure], SampledArms([arm("a")], groups, 2), Quiet())
    assert again.measured[0].values["a"] == pytest.approx(first.measured[0].values["a"])
    with pytest.raises(pytest.fail.Exception, match="it was known"):
        measure_groups([measure], SampledArms([arm("a")], {"a": [group("blue", "green", answer="blue")]}, 2), Quiet())


FAIR = Fairness(parse("accuracy"), None, ("useful", "matched", "pooled"))


def answered(*texts: str) -> Group:
    return group(*texts, answer="blue")


def three_prompts() -> dict[str, list[Group]]:
    short, long = answered("blue", "blue", "red"), answered("blue", "the blue", "red and green")
    return {"a": [short] * 3, "b": [long] * 3}


def test_every_diversity_metric_gets_its_variants_and_context_none() -> None:
    measures = [
        parse(name) for name in ("distinct_n|n:1", "embedding_distance", "length", "sequence_entropy", "accuracy")
    ]
    asked = [str(measure) for measure in with_variants(measures, look_at(three_prompts(), []), FAIR)]
    assert asked == [
        "distinct_n|n:1",
        "useful/distinct_n|n:1",
        "matched/distinct_n|n:1",
        "pooled/distinct_n|n:1",
        "embedding_distance",
        "useful/embedding_distance",
        "matched/embedding_distance",
        "pooled/embedding_distance",
        "length",
        "sequence_entropy",
        "accuracy",
    ]


def test_variants_come_only_where_they_can() -> None:
    same = {"a": [answered("blue")], "b": [answered("red")]}
    assert with_variants([parse("distinct_n")], look_at(same, []), Fairness(None, None, FAIR.variants)) == [
        parse("distinct_n")
    ]
    assert with_variants([parse("distinct_n")], look_at(three_prompts(), []), Fairness()) == [parse("distinct_n")]


def test_a_variant_that_is_listed_is_measured_once() -> None:
    asked = with_variants([parse("distinct_n"), parse("pooled/distinct_n")], look_at(three_prompts(), []), FAIR)
    assert [str(measure) for measure in asked].count("pooled/distinct_n") == 1


def test_variants_are_measured_and_signed() -> None:
    measures = [parse("distinct_n|n:1"), parse("accuracy")]
    found = measure_groups(measures, SampledArms([arm("a"), arm("b")], three_prompts(), 3), Quiet(), fairness=FAIR)
    by_name = {one.measure: one for one in found.measured}
    # Useful: "blue" twice in "a"; "blue" and "the blue", which is right as well, in "b".
    assert list(by_name["useful/distinct_n|n:1"].values["a"]) == pytest.approx([1 / 2] * 3)
    assert list(by_name["useful/distinct_n|n:1"].values["b"]) == pytest.approx([2 / 3] * 3)
    # Matched: ranks have 1, 1, 1 words in "a", so "b" is cut to "blue", "the", "red": three of three differ.
    assert list(by_name["matched/distinct_n|n:1"].values["a"]) == pytest.approx([2 / 3] * 3)
    assert list(by_name["matched/distinct_n|n:1"].values["b"]) == pytest.approx([1.0] * 3)
    # Pooled: slot by slot all prompts say the same.
    assert by_name["pooled/distinct_n|n:1"].values["a"].mean() == pytest.approx(1 / 3)
    assert "quality:accuracy,v:1.2|bar:1|subsets:8" in by_name["useful/distinct_n|n:1"].signature
    assert "|prompts:3|slots:3|" in by_name["pooled/distinct_n|n:1"].signature
    assert "|lengths:" in by_name["matched/distinct_n|n:1"].signature
    assert found.bar is not None
    assert (found.bar.at_least, found.bar.source) == (1.0, "the median of a")


def test_metrics_that_need_quality_find_it_in_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    needy = dataclasses.replace(
        parse("length").definition, needs=frozenset({"quality"}), function=lambda g: seen.append(g.quality) or 0.0
    )
    measures = [Measure(needy, ()), parse("accuracy")]
    found = measure_groups(
        measures, SampledArms([arm("a")], {"a": [answered("blue", "red")]}, 2), Quiet(), fairness=FAIR
    )
    assert list(seen[0]) == [1.0, 0.0]
    assert "quality:accuracy" in found.measured[0].signature


@pytest.mark.parametrize(
    ("texts", "heard"),
    [
        (["The sea is blue.", "Море синее.", "海は青い", "바다", "البحر", "ทะเล", "ñ “é” 3²"], False),
        (["សមុទ្រពណ៌ខៀវ", "ខ្ញុំឃើញសមុទ្រ"], True),
        (["समुद्र नीला है।"], True),
        (["The sea is blue and wide.", "γη"], False),
    ],
)
def test_texts_that_the_encoder_cannot_read_are_an_alarm(texts: list[str], heard: bool) -> None:
    found = measure_groups([parse("vendi")], SampledArms([arm("a")], {"a": [group(*texts)]}, len(texts)), Quiet())
    assert [alarm.kind for alarm in found.alarms] == (["unread"] if heard else [])


def test_words_are_split_once_a_completion(monkeypatch: pytest.MonkeyPatch) -> None:
    split: list[str] = []
    monkeypatch.setattr(tokenizers, "tokenizer", lambda _: lambda text: split.append(text) or tuple(text.split()))
    groups = {"a": [group("blue sea", "red sea")]}
    measure_groups(
        [parse("vendi"), parse("distinct_n")],
        SampledArms([arm("a")], groups, 2),
        Quiet(),
        fairness=Fairness(variants=("matched",)),
    )
    assert split == ["blue sea", "red sea"]


def test_a_figure_of_a_whole_arm_that_has_no_value_is_an_alarm_that_says_why() -> None:
    prompt = Prompt("p", "?", references=("what people say",))
    groups = {"a": [Group(prompt, (Completion("p", 0, "what a model says", (), (), "stop"),))]}
    found = measure_groups([parse("mauve")], SampledArms([arm("a")], groups, 1), Quiet())
    assert np.isnan(found.measured[0].values["a"]).all()
    [alarm] = found.alarms
    assert "mauve has no value for this arm. Undefined: below 2 000 texts on either side" in alarm.message


def test_a_signature_across_many_prompts_says_how_they_were_left_out() -> None:
    groups = {"a": [dataclasses.replace(group(f"w{i} w{i % 7} x"), prompt=Prompt(f"p{i}", "?")) for i in range(600)]}
    names = ("distinct_n", "compression_ratio", "rouge_l_homogenization")
    measures = [in_variant(parse(name), "pooled") for name in names]
    found = measure_groups(measures, SampledArms([arm("a")], groups, 1), Quiet())
    said = [one.signature.partition("|slots:1|")[2].partition("k:")[0] for one in found.measured]
    assert said == ["", "groups:109|", "pools:2|"]

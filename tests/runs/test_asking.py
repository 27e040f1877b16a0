"""Answers to prompts, whichever way these were put: a run of every way, its counts, its export, its report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from evalkit.analysis.comparison.curves import trace
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.errors import InputError, MetricError, RecordsError, SuiteError
from evalkit.gate.sequential_run import run_until_decided
from evalkit.inference.engines.base import by_load
from evalkit.inference.forecasting import forecast
from evalkit.inference.plan import make_plan
from evalkit.metrics.registry import parse
from evalkit.plumbing.progress import Quiet
from evalkit.records import Arm, Asking, Completion, Group, Prompt, Sampling
from evalkit.report.content.read import read_content
from evalkit.report.page import build_report
from evalkit.report.sections import asking as asking_card
from evalkit.report.sections.samples import pack
from evalkit.report.verdicts.verdict import verdict
from evalkit.run import Run, run_suite
from evalkit.runs.asking import answers_to
from evalkit.runs.export import export_run
from evalkit.runs.manifest import read_manifest
from evalkit.runs.thinking import answers_apart, measured
from evalkit.runs.told import tokens_of, told
from evalkit.score import score_files
from evalkit.suite.gate_policy import DEFAULT
from evalkit.suite.schema import load_suite, overrides
from evalkit.training.raters.config import PrefsSampleConfig
from tests.analysis.comparison.worlds import cross_prompt_values
from tests.report.blocks import opened
from tests.served import Server, serving
from tests.served import server as server

RAIN = Prompt("rain", "Rain?")
DRAWN = Sampling(4, 1.0, 1.0, 0.0, 32, (), 0)
LIST = Arm("several", "several", "tuned", DRAWN, None, asking=Asking("list", 3))
WORDS = ["amber", "basalt", "cinder", "dew", "ember", "fjord", "gorse", "heron", "iris", "jade", "kelp", "larch"]


def completion(text: str, slot: int = 0, prompt: str = "rain", **more: Any) -> Completion:
    return Completion(prompt, slot, text, (7,) * 5, (-1.0,) * 5, **({"finish_reason": "stop"} | more))


def answers(arm: Arm, *drawn: Completion) -> Group:
    return answers_apart(answers_to([RAIN], drawn, arm))[0]


def faults(group: Group) -> list[tuple[int, str | None]]:
    return [(one.sample_index, one.item.fault) for one in group.unfinished if one.item is not None]


# ---- lists ----


def test_the_answers_of_all_lists_are_a_prompts_completions_and_what_is_beyond_n_is_kept_apart() -> None:
    group = answers(LIST, completion("1. a\n2. b\n3. c"), completion("1. d\n2. e\n3. f", 1))
    assert group.texts == ("a", "b", "c", "d")
    assert [one.sample_index for one in group.completions] == [0, 1, 2, 3]
    assert faults(group) == [(4, "surplus"), (5, "surplus")]
    counts = told([group])
    assert (counts.draws, counts.asked, counts.told, counts.surplus, counts.measured) == (2, 6, 6, 2, 4)
    assert (dict(counts.lost), counts.tokens, tokens_of([group])) == ({}, 10, 10)
    assert all(one.token_ids == one.logprobs == () for one in group.completions), "those are of the whole list"


def test_each_answer_that_is_not_there_has_its_reason_and_the_next_takes_its_place() -> None:
    group = answers(
        LIST,
        completion("1. a\n2. b", finish_reason="length"),
        completion("I cannot.", 1),
        completion("1. d\n2. e", 2),
        completion("1. f\n2. g\n3. h\n4. i", 3),
    )
    assert group.texts == ("a", "d", "e", "f")
    assert faults(group) == [
        (1, "cut"), (2, "cut"), (3, "unread"), (4, "unread"), (5, "unread"), (8, "missing"), (10, "surplus"),
        (11, "surplus"),
    ]  # fmt: skip
    counts = told([group])
    assert dict(counts.lost) == {"cut": 2, "missing": 1, "unread": 3}
    assert (counts.asked, counts.told, counts.extra) == (12, 6, 1)
    assert [one.text for one in group.unfinished if one.text] == ["b", "I cannot.", "g", "h"]


def test_only_the_answer_after_thinking_is_parsed() -> None:
    from evalkit.records import Thinking

    arm = Arm("t", "t", "tuned", DRAWN, None, thinking=Thinking("", "</think>"), asking=Asking("list", 2))
    whole = completion("1. no\n2. no</think>1. a\n2. b")
    cut = completion("1. no\n2. no", 1, finish_reason="length")
    group = answers(arm, whole, cut)
    assert group.texts == ("a", "b")
    assert [one.thinking for one in group.completions] == ["1. no\n2. no", None], "it is thought once"
    assert faults(group) == [(2, "cut"), (3, "cut")]


def test_stated_probabilities_stay_with_their_answers() -> None:
    arm = Arm("v", "v", "tuned", DRAWN, None, asking=Asking("verbalized", 2))
    group = answers(arm, completion("1. a (probability: 0.3)\n2. b (60%)"), completion("1. c (0.1)\n2. d", 1))
    assert [one.item.probability for one in group.completions if one.item] == [0.3, 0.6, 0.1, None]
    assert told([group]).stated == 3
    shares = np.array([1 / 3, 2 / 3])
    assert parse("stated_entropy")(group) == pytest.approx(-(shares * np.log(shares)).sum())
    assert parse("stated_total")(group) == pytest.approx((0.9 + 0.1) / 2)


def test_wordings_take_turns() -> None:
    arm = Arm("w", "w", "tuned", Sampling(3, 1.0, 1.0, 0.0, 32, (), 0), None, asking=Asking("paraphrases", 1, 2))
    drawn = [completion(f"{w}{d}", d, f"rain (wording {w})") for w in (2, 1) for d in (0, 1)]
    group = answers(arm, *drawn)
    assert group.texts == ("10", "20", "11")
    assert {one.prompt_id for one in group.completions} == {"rain"}
    assert faults(group) == [(3, "surplus")]


@pytest.mark.parametrize(("asking", "n", "draws"), [
    (Asking("list", 5), 20, 4), (Asking("list", 5), 21, 5), (Asking("list", 5), 3, 1),
    (Asking("paraphrases", 1, 3), 10, 4), (Asking("plain"), 7, 7),
])  # fmt: skip
def test_n_answers_take_as_few_completions_as_hold_them(asking: Asking, n: int, draws: int) -> None:
    assert asking.draws(n) == draws


# ---- what is measured ----


def test_all_ways_are_measured_at_equally_many_answers_and_the_alarm_counts() -> None:
    direct = [Group(RAIN, tuple(completion(word, slot) for slot, word in enumerate("wxyz")))]
    several = [answers(LIST, completion("1. a\n2. b"), completion("1. c", 1))]
    found = measured({"direct": direct, "several": several}, 4)
    assert found.samples == 3
    assert [group.texts for members in found.groups.values() for group in members] == [("w", "x", "y"), ("a", "b", "c")]
    [alarm] = found.alarms
    assert (alarm.arm, alarm.kind) == ("several", "asking")
    assert "6 answers were asked for in 2 completions, 3 could be told; 3 not given" in alarm.message


def test_surplus_answers_are_no_alarm_and_take_no_prompt_down() -> None:
    wide = Arm("s", "s", "tuned", Sampling(2, 1.0, 1.0, 0.0, 32, (), 0), None, asking=Asking("list", 5))
    found = measured({"s": [answers(wide, completion("\n".join(f"{i}. {i}" for i in range(1, 6))))]}, 2)
    assert (found.samples, found.alarms, found.groups["s"][0].texts) == (2, (), ("1", "2"))


def test_where_no_list_can_be_told_at_all_one_line_says_so() -> None:
    with pytest.raises(RecordsError, match="hold no list"):
        measured({"s": [answers(LIST, completion("No."), completion("No.", 1))]}, 4)


def test_curves_over_k_are_undefined_where_k_of_n_answers_are_not_what_k_would_be() -> None:
    groups = {"direct": [Group(RAIN, tuple(completion(one, i) for i, one in enumerate(("a b", "c d"))))],
              "several": [Group(RAIN, tuple(completion(one, i) for i, one in enumerate(("a b", "c d"))))]}  # fmt: skip
    arms = [Arm("direct", "d", "tuned", DRAWN, None), LIST]
    curve = next(one for one in trace([], {}, SampledArms(arms, groups, 2), "") if one.name == "distinct_ngrams")
    assert np.isfinite(curve.values["direct"]).all()
    assert np.isnan(curve.values["several"]).all()


def test_an_arm_without_any_answer_takes_no_other_down_across_prompts() -> None:
    prompts = [Prompt(name, "?") for name in "abc"]
    full = [Group(one, tuple(completion(f"{one.id} {i}", i) for i in range(2))) for one in prompts]
    values = cross_prompt_values(parse("distinct_n"), {"direct": full, "several": [Group(one, ()) for one in prompts]})
    assert np.isfinite(values["direct"]).all()
    assert np.isnan(values["several"]).all()
    nothing = cross_prompt_values(
        parse("distinct_n"), {"a": [full[0], Group(prompts[1], ())], "b": [Group(prompts[0], ()), full[1]]}
    )
    assert np.isnan(np.stack(list(nothing.values()))).all()


@pytest.mark.parametrize(("measure", "assumes"), [
    ("distinct_k", False), ("distinct_k|k:5", True), ("pass_at_k|k:2", True), ("class_entropy", True),
    ("ngram_entropy", True), ("ngram_entropy|correction:none", False), ("distinct_n", False), ("voice_entropy", True),
])  # fmt: skip
def test_estimators_of_independent_draws_say_so(measure: str, assumes: bool) -> None:
    assert parse(measure).assumes_independence == assumes


# ---- runs against a server ----


def said(request: dict[str, Any]) -> str:
    return str(request["messages"][-1]["content"] if "messages" in request else request["prompt"])


def answer(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """A list where one is asked for: each a different word; the second list of a call stops short."""
    text = said(request)

    def one(index: int) -> str:
        if "numbered list" not in text:
            return WORDS[index % 2] + " falls."
        count = 2 if index == 1 else 3
        chance = " (probability: 0.2)" if "probability" in text else ""
        return "\n".join(f"{i + 1}. {WORDS[(3 * index + i) % len(WORDS)]} falls.{chance}" for i in range(count))

    chats = "messages" in request
    texts = [one(index) for index in range(request["n"])]
    made = [
        {"index": i, "finish_reason": "stop", "logprobs": None}
        | ({"message": {"role": "assistant", "content": text}} if chats else {"text": text})
        for i, text in enumerate(texts)
    ]
    kind = "chat.completion" if chats else "text_completion"
    return 200, {"id": "x", "object": kind, "created": 0, "model": "m", "choices": made}


def suite_of(url: str) -> dict[str, Any]:
    at = {"path": f"{url}/v1", "kind": "tuned"}
    return {
        "name": "ways",
        "checkpoints": {
            "direct": dict(at),
            "list-3": at | {"ask": {"list": 3}},
            "verbalized-3": at | {"ask": {"verbalized": 3}},
            "wordings": at | {"ask": {"paraphrases": ["{prompt}", "Please. {prompt}"]}},
            "plain": at | {"ask": {"template": "off"}},
        },
        "sampling": {"n": 7, "max_tokens": 20, "stop": ["\n"]},
        "metrics": ["distinct_n", "ngram_entropy", "length", "stated_entropy", "task_checks", "simpson_classes"],
        "checks": ["one_line", "max_words:5"],
        "prompts": [{"id": one, "text": f"A line about {one}?"} for one in ("rain", "sea", "fog", "ice")],
    }


def written(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def run(folder: Path, content: dict[str, Any]) -> Run:
    return run_suite(load_suite(written(folder, content)), "openai", folder / "run", Quiet())


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Run]]:
    with serving() as server:
        server.answer = answer
        yield server, run(tmp_path_factory.mktemp("ways"), suite_of(server.url))


def estimate(made: Any, metric: str, arm: str) -> Any:
    return next(one for one in made.summary.estimates if (one.metric, one.arm) == (metric, arm))


def messages(made: Any, kind: str, arm: str) -> list[str]:
    return [alarm.message for alarm in made.summary.alarms if (alarm.kind, alarm.arm) == (kind, arm)]


def test_every_way_is_an_arm_from_its_request_to_its_verdict(ways: tuple[Server, Run], tmp_path: Path) -> None:
    server, made = ways
    asked = {name: [r for r in server.requests if mark(r)] for name, mark in {
        "list": lambda r: "3 answers" in said(r) and "probability" not in said(r),
        "verbalized": lambda r: "probability" in said(r),
        "wordings": lambda r: said(r).startswith("Please."),
        "plain": lambda r: "prompt" in r,
    }.items()}  # fmt: skip
    assert {name: sum(r["n"] for r in of_way) for name, of_way in asked.items()} == {
        "list": 4 * 3, "verbalized": 4 * 3, "wordings": 4 * 4, "plain": 4 * 7,
    }  # fmt: skip
    assert {r["max_tokens"] for r in asked["list"]} == {60}
    assert not any("\n" in r.get("stop", []) for r in asked["list"]), "a line break ends an answer, not the list"
    assert said(asked["plain"][0]).startswith("Prompt: A line about")
    _check_measured(made)
    _check_report(made)
    _check_export(made, tmp_path)


def _check_measured(made: Run) -> None:
    # 3 + 2 + 3 = 8 answers of 9, of which 7 are measured
    assert {one.samples for one in made.summary.estimates} == {7}
    assert (
        "36 answers were asked for in 12 completions, 32 could be told; 4 not given"
        in messages(made, "asking", "list-3")[0]
    )
    assert estimate(made, "distinct_n", "list-3").value > estimate(made, "distinct_n", "direct").value
    assert estimate(made, "ngram_entropy", "list-3").value is None
    assert estimate(made, "ngram_entropy", "direct").value is not None
    assert "ngram_entropy" in messages(made, "undefined", "list-3")[0]
    assert "simpson_classes" in messages(made, "dependent", "list-3")[0]
    assert not messages(made, "seeds", "wordings"), "turns of wordings are no seeds"
    assert estimate(made, "stated_entropy", "verbalized-3").value > 0
    assert estimate(made, "stated_entropy", "list-3").value is None
    identity = read_manifest(made.folder).identity.arms
    assert identity["list-3"].ask == {"list": 3}
    assert "ask" not in identity["direct"].to_json()


def _check_report(made: Run) -> None:
    content = read_content(made.folder)
    assert build_report(content).encode() == made.report.read_bytes(), "made again it is the same"
    rows = {row.arm: row for row in asking_card.rows(content)}
    assert rows.keys() == {"direct", "list-3", "verbalized-3", "wordings", "plain"}
    assert rows["list-3"].counts.startswith("32 of 36 answers told, from 12 completions (4 not given and 4 more than")
    assert rows["verbalized-3"].stated == "a probability stated for 32 of 32"
    assert "task_checks" in rows["direct"].quality
    said_first = verdict(content.summary)
    assert "ways of asking" in said_first.claim or "way of asking" in said_first.claim
    blocks = [opened(block, pack(content).words) for block in pack(content).blocks]
    assert blocks[0]["list-3"]["lost"] == [["not given", 1, []], ["more than needed", 1, ["iris falls."]]]
    assert {chance for row in blocks[0]["verbalized-3"]["classes"] for chance in row[6]} == {0.2}
    assert "lost" not in blocks[0]["direct"]


def _check_export(made: Run, folder: Path) -> None:
    for layout in ("jsonl", "csv", "parquet", "inspect"):
        files = export_run(made.folder, layout, folder / f"texts{layout}.{'json' if layout == 'inspect' else layout}")
        for path, content in files.items():
            path.write_bytes(content)
        scored = score_files(list(files), ["distinct_n", "ngram_entropy", "stated_entropy"], "direct", Quiet())
        for arm in ("direct", "list-3", "verbalized-3", "wordings"):
            for metric in ("distinct_n", "ngram_entropy", "stated_entropy"):
                theirs, ours = estimate(scored, metric, arm).value, estimate(made, metric, arm).value
                assert theirs == (None if ours is None else pytest.approx(ours)), (layout, arm, metric)
        assert messages(scored, "asking", "list-3")[0].startswith("36 answers were asked for in 12 completions")


def test_the_forecast_counts_lists_and_wordings_and_a_run_that_is_there_asks_nothing(
    ways: tuple[Server, Run], tmp_path: Path
) -> None:
    server, made = ways
    plan = make_plan(load_suite(written(tmp_path, suite_of(server.url))), "openai")
    fresh = {arm.arm: arm for arm in forecast(plan, tmp_path / "none").arms}
    assert {name: (arm.missing, arm.requests) for name, arm in fresh.items()} == {
        "direct": (28, 4), "list-3": (12, 4), "verbalized-3": (12, 4), "wordings": (32, 8), "plain": (28, 4),
    }  # fmt: skip
    assert fresh["list-3"].most_tokens == 12 * 60
    expected = forecast(plan, made.folder)
    assert [arm.missing for arm in expected.arms] == [0] * 5
    assert "list-3: 7 answers a prompt take 3 completions of 3" in expected.notes
    assert "wordings: 7 answers a prompt take 4 completions of each of 2 wordings" in expected.notes


def test_a_run_of_lists_grows_and_another_way_is_another_run(server: Server, tmp_path: Path) -> None:
    server.answer = answer
    content = suite_of(server.url) | {"metrics": ["length"]}
    content["checkpoints"] = {name: content["checkpoints"][name] for name in ("direct", "list-3")}
    run(tmp_path, content)
    before = len(server.requests)
    grown = run(tmp_path, content | {"sampling": content["sampling"] | {"n": 11}})
    assert sum(r["n"] for r in server.requests[before:] if "3 answers" in said(r)) == 4, "a fourth list of each prompt"
    assert {one.samples for one in grown.summary.estimates} == {11}
    content["checkpoints"]["list-3"]["ask"] = {"list": 4}
    with pytest.raises(InputError, match="holds another run"):
        run(tmp_path, content)


def test_asked_directly_no_hash_knows_of_it(server: Server, tmp_path: Path) -> None:
    content = suite_of(server.url)
    content["metrics"].remove("stated_entropy")
    keys = []
    for ask in ({}, {"ask": "direct"}):
        content["checkpoints"] = {"direct": {"path": f"{server.url}/v1", "kind": "tuned"} | ask}
        plan = make_plan(load_suite(written(tmp_path, content)), "openai")
        keys.append([(shard.key, shard.distribution) for shard in plan.shards])
    assert keys[0] == keys[1]


def test_what_cannot_be_is_refused_in_a_line(server: Server, tmp_path: Path) -> None:
    content = suite_of(server.url)
    with pytest.raises(InputError, match="until-decided"):
        run_until_decided(load_suite(written(tmp_path, content)), DEFAULT, None, "openai", tmp_path / "r", Quiet())
    taken = content | {"prompts": [{"id": "rain", "text": "a"}, {"id": "rain (wording 1)", "text": "b"}]}
    with pytest.raises(InputError, match="give it another id"):
        make_plan(load_suite(written(tmp_path, taken)), "openai")
    content["checkpoints"] = {"direct": content["checkpoints"]["direct"]}
    with pytest.raises(MetricError, match="no checkpoint is asked for any"):
        make_plan(load_suite(written(tmp_path, content)), "openai")


# ---- one model in all ways ----


def test_one_path_is_for_all_checkpoints_of_one_model_and_refused_for_several(tmp_path: Path) -> None:
    path, changes = written(tmp_path, suite_of("http://here")), overrides({"": "lab:tuned"}, None, None, None)
    suite = load_suite(path, changes)
    assert {spec.path for spec in suite.checkpoints.values()} == {"lab:tuned"}
    assert suite.checkpoints["list-3"].ask is not None
    content = suite_of("http://here")
    content["checkpoints"]["direct"]["path"] = "lab:base"
    with pytest.raises(SuiteError, match="write --model direct=lab:tuned"):
        load_suite(written(tmp_path, content), changes)


def test_one_model_in_several_ways_is_loaded_once_and_a_server_stays_by_itself() -> None:
    def at(name: str, location: str) -> tuple[str, Checkpoint]:
        return "vllm", Checkpoint(name, "tuned", location, location, location, None, "f", "float32")

    asked = [at("direct", "/m"), at("list-5", "/m"), at("other", "/n"), at("a", "http://h"), at("b", "http://h")]
    assert by_load(asked) == [["direct", "list-5"], ["other"], ["a"], ["b"]]


def test_training_asks_each_prompt_as_it_is() -> None:
    policy = {"path": "lab:tuned", "kind": "tuned", "ask": {"list": 5}}
    with pytest.raises(ValidationError, match="ask is for suites, not for training"):
        PrefsSampleConfig.model_validate({"name": "x", "policy": policy, "prompts": [{"id": "a", "text": "A"}]})


def test_rows_with_a_damaged_key_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    row = {"prompt_id": "p", "prompt": "?", "completion": "a", "asked": {"asking": {"way": "nonsense"}}}
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(RecordsError, match=r"texts.jsonl:1: asked.asking.way"):
        score_files([path], ["length"], None, Quiet())

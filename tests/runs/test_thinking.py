"""Thinking is taken off answers when they are read: what is measured, what is left out, and that nothing is sampled anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import InputError, MetricError, RecordsError
from evalkit.gate.power_analysis import _check_sizes
from evalkit.gate.sequential_run import run_until_decided
from evalkit.lab import resolve as lab
from evalkit.metrics.registry import parse
from evalkit.metrics.summary import Alarm, Summary
from evalkit.plumbing.progress import Quiet
from evalkit.records import Arm, Completion, Group, Prompt, Thinking
from evalkit.report.content.read import read_content
from evalkit.report.page import build_report
from evalkit.report.sections.samples import pack
from evalkit.run import Run, run_suite
from evalkit.runs.export import export_run
from evalkit.runs.shards import SHARD_SCHEMA, from_parquet, to_parquet
from evalkit.runs.thinking import answers_apart, apart, measured, split_text
from evalkit.score import Reading, Scored, score_files
from evalkit.suite.gate_policy import DEFAULT
from evalkit.suite.schema import load_suite
from tests.report.blocks import opened
from tests.served import Server, choices
from tests.served import server as server

OWN = Path(__file__).parent.parent / "data" / "thinking.jsonl"
MARKS = Thinking("", "</think>")
ARM = Arm("think", "think", "tuned", None, None, thinking=MARKS)
SUITE: dict[str, Any] = {
    "name": "thinks",
    "checkpoints": {
        "base": {"path": "lab:base", "kind": "base"},
        "tuned": {"path": "lab:tuned", "kind": "tuned"},
    },
    "sampling": {"n": 8, "max_tokens": 24, "seed": 5},
    "metrics": ["distinct_n", "length", "sequence_entropy"],
    "prompts": [
        {"id": "story", "text": "Write the first line of a story."},
        {"id": "rain", "text": "Write the first line of a poem about rain."},
    ],
}
END = " the"
"""What the lab's checkpoints say in most lines, and not in all."""


def completion(text: str, slot: int = 0, **more: Any) -> Completion:
    return Completion("p", slot, text, (), (), **({"finish_reason": "stop"} | more))


def estimate(made: Run | Scored, metric: str, arm: str) -> Any:
    return next(one for one in made.summary.estimates if (one.metric, one.arm) == (metric, arm))


def alarms(made: Run | Scored, kind: str) -> list[Alarm]:
    return [alarm for alarm in made.summary.alarms if alarm.kind == kind]


# ---- one text ----


@pytest.mark.parametrize(
    ("text", "marks", "apart"),
    [
        ("Hm.</think>\n\nBlue.", MARKS, ("Blue.", "Hm.", "stop")),
        ("<think>Hm.</think>Blue.", Thinking("<think>", "</think>"), ("Blue.", "Hm.", "stop")),
        ("Hm.</think>Blue.", Thinking("<think>", "</think>"), ("Blue.", "Hm.", "stop")),
        ("Blue.", Thinking("<think>", "</think>"), ("Blue.", None, "stop")),
        ("<think>Hm", Thinking("<think>", "</think>"), ("", "Hm", "length")),
        ("Blue.", MARKS, ("", "Blue.", "length")),
        ("Hm.</think>", MARKS, ("", "Hm.", "stop")),
        ("a</think>b</think>c", MARKS, ("b</think>c", "a", "stop")),
        ("<think></think>Blue.", Thinking("<think>", "</think>"), ("Blue.", "", "stop")),
    ],
)
def test_a_text_is_split_at_its_first_end_mark(text: str, marks: Thinking, apart: tuple[str, str | None, str]) -> None:
    assert split_text(text, "stop", marks) == apart


@given(st.text(), st.text())
def test_no_character_but_marks_and_space_around_is_lost(thinking: str, answer: str) -> None:
    if "</think>" in thinking + "</think"[:-1]:
        return
    text, thought, _ = split_text(f"{thinking}</think>{answer}", "stop", MARKS)
    assert (text, thought) == (answer.lstrip(), thinking.strip())


def test_an_empty_answer_after_thinking_is_an_answer_and_a_cut_one_is_none() -> None:
    ended, cut = apart(completion("Hm.</think>"), ARM), apart(completion("Hm.</think>", finish_reason="length"), ARM)
    assert (ended.is_answer, cut.is_answer, apart(completion("Hm."), ARM).is_answer) == (True, False, False)
    assert completion("", finish_reason="length").is_answer, "without thinking nothing changes"


# ---- equally many answers ----


def groups_of(*texts: Sequence[str]) -> list[Group]:
    return answers_apart([
        Group(Prompt(f"p{i}", "?"), tuple(apart(completion(text, slot), ARM) for slot, text in enumerate(row)))
        for i, row in enumerate(texts)
    ])  # fmt: skip


def test_of_an_arm_without_any_answer_nothing_is_said_to_be_left() -> None:
    think = groups_of(["a", "b", "c"], ["a", "b", "c"])
    plain = [Group(group.prompt, tuple(completion(text, slot) for slot, text in enumerate("xyz"))) for group in think]
    [alarm] = measured({"plain": plain, "think": think}, 3).alarms
    assert alarm.message == (
        "6 of 6 completions were cut before they came to an answer: no prompt has answers in half of its completions, "
        "so that nothing of this arm is measured. Give more room (max_tokens)."
    )


def test_every_prompt_of_every_arm_is_measured_on_equally_many_answers() -> None:
    think = groups_of(
        ["a</think>A", "b", "c</think>C", "d</think>D"], ["</think>A", "</think>B", "</think>C", "d</think>D"]
    )
    plain = [Group(group.prompt, tuple(completion(text, slot) for slot, text in enumerate("wxyz"))) for group in think]
    found = measured({"plain": plain, "think": think}, 4)
    assert found.samples == 3
    assert [group.texts for group in found.groups["think"]] == [("A", "C", "D"), ("A", "B", "C")]
    assert [group.texts for group in found.groups["plain"]] == [("w", "x", "y")] * 2
    [alarm] = found.alarms
    assert alarm.arm == "think"
    assert "1 of 8 completions" in alarm.message
    assert "first 3 answers" in alarm.message


def test_a_prompt_with_answers_in_less_than_half_is_not_measured_and_takes_no_other_down() -> None:
    found = measured({"think": groups_of(["a", "b", "c", "</think>D"], ["</think>A"] * 2 + ["x"] * 2)}, 4)
    assert ([len(group.completions) for group in found.groups["think"]], found.samples) == ([0, 2], 2)
    assert (
        "1 prompt without answers in half of the completions (first: 'p0') is not measured" in found.alarms[0].message
    )


def test_without_any_answer_there_is_one_line_that_says_what_to_do() -> None:
    with pytest.raises(RecordsError, match="max_tokens"):
        measured({"think": groups_of(["a", "b"])}, 2)


# ---- shards ----


def test_a_shard_without_thinking_has_the_columns_that_it_always_had() -> None:
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    plain = to_parquet([completion("Blue.")], "a", now)
    assert pq.read_schema(pa.BufferReader(plain)).names == [*SHARD_SCHEMA.names, "arm"]
    both = [completion("Blue.", thinking="Hm."), completion("Red.", 1)]
    assert from_parquet(to_parquet(both, "a", now)) == both
    assert from_parquet(plain) == [completion("Blue.")], "as older ones, it reads without"


# ---- texts made elsewhere ----


def test_of_texts_that_all_begin_with_thinking_the_answers_are_measured() -> None:
    scored = score_files([OWN], ["distinct_n", "vendi", "thinking/vendi", "thinking/length"], "plain", Quiet())
    assert estimate(scored, "vendi", "think").value == pytest.approx(1), "one answer"
    assert estimate(scored, "vendi", "plain").value > 1.5
    assert estimate(scored, "thinking/vendi", "think").value > 1.2, "four ways there"
    assert estimate(scored, "thinking/length", "think").value == 14, "words and signs"
    assert estimate(scored, "thinking/length", "plain").value is None
    assert any("of think the answers alone are measured" in alarm.message for alarm in alarms(scored, "given"))
    assert b"Thinking before the answer" in scored.page


def test_texts_of_which_one_does_not_begin_with_thinking_are_split_when_told(tmp_path: Path) -> None:
    texts = ["<think>Hm.</think>Blue.", "Red.", "<think>Let me see.", "<think>Well.</think>Teal."]
    path = tmp_path / "texts.jsonl"
    path.write_text(json.dumps({"prompt_id": "p", "prompt": "A colour?", "completions": texts}) + "\n")
    untold = score_files([path], ["length"], None, Quiet())
    assert not alarms(untold, "thinking")
    assert estimate(untold, "length", "texts").samples == 4
    told = score_files([path], ["length"], None, Quiet(), reading=Reading(thinking_end="</think>"))
    assert (estimate(told, "length", "texts").samples, estimate(told, "length", "texts").value) == (3, 2)
    assert "1 of 4 completions" in alarms(told, "thinking")[0].message
    with pytest.raises(RecordsError, match="no completion holds"):
        score_files([path], ["length"], None, Quiet(), reading=Reading(thinking_end="[/THINK]"))


def test_scores_of_a_file_stay_with_their_answers(tmp_path: Path) -> None:
    rows = [
        {"completion": "", "thinking": "Hm", "finish_reason": "length", "scores": {"stars": 0}},
        {"completion": "Blue.", "thinking": "Hm.", "scores": {"stars": 4}},
        {"completion": "Red.", "thinking": "Hm.", "scores": {"stars": 2}},
    ]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"prompt_id": "p", "prompt": "?", **row}) + "\n" for row in rows))
    scored = score_files([path], ["score/stars"], None, Quiet())
    assert (estimate(scored, "score/stars", "texts").value, estimate(scored, "score/stars", "texts").samples) == (3, 2)


def test_only_metrics_of_texts_have_a_form_for_thinking() -> None:
    assert str(parse("thinking/distinct-3")) == "thinking/distinct_n|n:3"
    assert parse("thinking/vendi") == parse("thinking/vendi"), "one value, equal to itself"
    for name in ("thinking/accuracy", "thinking/kl", "pooled/thinking/vendi"):
        with pytest.raises(MetricError):
            parse(name)


# ---- a run ----


def run(folder: Path, suite: dict[str, Any] | None = None, engine: str = "transformers", **of_tuned: Any) -> Run:
    content = json.loads(json.dumps(SUITE if suite is None else suite))
    if of_tuned:
        content["checkpoints"]["tuned"] |= of_tuned
        content["metrics"].append("thinking/length")
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return run_suite(load_suite(path), engine, folder / "run", Quiet())


@pytest.fixture(scope="module")
def thought(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """The same folder without and then with an end mark."""
    folder = tmp_path_factory.mktemp("thinks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        return run(folder), run(folder, thinking={"end": END})


def raw(made: Run) -> list[str]:
    import pyarrow.parquet as pq

    rows = [row for path in (made.folder / "completions").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return [row["text"] for row in rows if row["arm"] == "tuned"]


def test_another_end_mark_samples_nothing_anew_and_measures_the_answers(thought: tuple[Run, Run]) -> None:
    before, after = thought
    assert (before.sampled, after.sampled) == (32, 0)
    unfinished = sum(END not in text for text in raw(after))
    assert 0 < unfinished < 16, "else the mark tests nothing"
    [alarm] = alarms(after, "thinking")
    assert alarm.arm == "tuned"
    assert f"{unfinished} of 16 completions" in alarm.message
    k = estimate(after, "length", "tuned").samples
    assert k < 8
    assert {one.samples for one in after.summary.estimates} == {k}
    whole = estimate(before, "length", "tuned").value
    assert estimate(after, "length", "tuned").value < whole
    assert 0 < estimate(after, "thinking/length", "tuned").value < whole
    assert not alarms(after, "empty")
    assert not [one for one in alarms(after, "truncated") if one.arm == "tuned"]


def test_log_probs_say_nothing_of_an_answer_after_thinking(thought: tuple[Run, Run]) -> None:
    before, after = thought
    assert estimate(before, "sequence_entropy", "tuned").value is not None
    assert estimate(after, "sequence_entropy", "tuned").value is None
    assert estimate(after, "sequence_entropy", "base").value is not None
    assert any("it thinks before it answers" in one.message for one in alarms(after, "undefined") if one.arm == "tuned")


def test_the_report_made_again_is_the_same_and_shows_thinking_folded(thought: tuple[Run, Run]) -> None:
    after = thought[1]
    content = read_content(after.folder)
    assert build_report(content).encode() == after.report.read_bytes()
    blocks = [opened(block, pack(content).words) for block in pack(content).blocks]
    unfinished = [text for block in blocks for text in block["tuned"].get("unfinished", ())]
    assert len(unfinished) == sum(END not in text for text in raw(after))
    thoughts = [text for block in blocks for row in block["tuned"]["classes"] for text in row[5]]
    assert len(thoughts) + len(unfinished) == 16
    assert all(len(row) < 6 for block in blocks for row in block["base"]["classes"])


def test_what_is_exported_is_scored_alike(thought: tuple[Run, Run], tmp_path: Path) -> None:
    after = thought[1]
    [(path, written)] = export_run(after.folder, "jsonl", tmp_path / "texts.jsonl").items()
    path.write_bytes(written)
    scored = score_files([path], ["length", "thinking/length"], "base", Quiet())
    for metric in ("length", "thinking/length"):
        assert estimate(scored, metric, "tuned").value == pytest.approx(estimate(after, metric, "tuned").value)


def test_a_measure_of_thinking_wants_a_checkpoint_that_thinks(tmp_path: Path) -> None:
    with pytest.raises(MetricError, match="no checkpoint says how its thinking ends"):
        run(tmp_path, suite=SUITE | {"metrics": ["thinking/length"]})


def with_special_mark(folder: Path) -> tuple[Path, int]:
    """The lab's tuned checkpoint, one of whose words is the special token `</think>`; and that token."""
    made = shutil.copytree(lab("tuned"), folder / "special")
    file = made / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    token = vocabulary["</think>"] = vocabulary.pop(END)
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    tokenizer["added_tokens"].append({"id": token, "content": "</think>", "special": True, **plain})
    file.write_text(json.dumps(tokenizer), encoding="utf-8")
    return made, token


@pytest.mark.parametrize("engine", ["transformers", pytest.param("vllm", marks=[pytest.mark.vllm, pytest.mark.slow])])
def test_an_end_mark_that_is_a_special_token_is_seen_and_what_was_drawn_without_it_is_drawn_anew(
    tmp_path: Path, engine: str
) -> None:
    import pyarrow.parquet as pq

    path, token = with_special_mark(tmp_path)
    before = SUITE | {"checkpoints": {"tuned": {"path": str(path), "kind": "tuned"}}, "metrics": ["length"]}
    made = run(tmp_path, before, engine)
    assert not any("</think>" in text for text in raw(made)), "as texts leave special tokens out"
    asked = before | {"metrics": ["length", "thinking_tokens", "thinking_share"]}
    with pytest.raises(InputError, match="shown"):
        run(tmp_path, asked, engine, thinking={"end": "</think>"})
    (tmp_path / "marked").mkdir()
    made = run(tmp_path / "marked", asked, engine, thinking={"end": "</think>"})
    assert made.sampled == 16
    rows = [row for path in (made.folder / "completions").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    last = {(row["prompt_id"], row["slot"]): row for row in rows if row["arm"] == "tuned" and "</think>" in row["text"]}
    assert all(token in row["token_ids"] for row in last.values())
    assert len(last) > 4
    [alarm] = alarms(made, "thinking")
    assert f"{16 - len(last)} of 16 completions" in alarm.message
    assert estimate(made, "thinking/length", "tuned").value > 0
    counted, k = estimate(made, "thinking_tokens", "tuned"), estimate(made, "thinking_tokens", "tuned").samples
    for prompt, value, share in zip(
        ("story", "rain"), counted.values, estimate(made, "thinking_share", "tuned").values, strict=True
    ):
        first = [last[prompt, slot]["token_ids"] for slot in range(8) if (prompt, slot) in last][:k]
        if value is not None:
            places = [ids.index(token) + 1 for ids in first]
            assert value == pytest.approx(sum(places) / k)
            assert share == pytest.approx(sum(places) / sum(map(len, first)))
    assert counted.value is not None
    assert f"before an answer {counted.value:.0f} tokens" in made.report.read_text(encoding="utf-8")


def test_looks_at_changing_numbers_of_answers_are_refused(tmp_path: Path) -> None:
    content = json.loads(json.dumps(SUITE))
    content["checkpoints"]["tuned"]["thinking"] = {"end": END}
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InputError, match="until-decided"):
        run_until_decided(load_suite(path), DEFAULT, None, "transformers", tmp_path / "run", Quiet())


def reasoned(tokens: int) -> Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]:
    """A server that thinks so many tokens a request, and says so in its usage."""

    def answer(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        body = choices(request["n"])
        for one in body["choices"]:
            one["message"] = {"role": "assistant", "content": "Blue.", "reasoning_content": "Hm."}
            del one["text"]
        usage = {"completion_tokens": 9, "prompt_tokens": 1, "total_tokens": 10,
                 "completion_tokens_details": {"reasoning_tokens": tokens}}  # fmt: skip
        return 200, body | {"object": "chat.completion", "usage": usage}

    return answer


@pytest.mark.parametrize(("n", "told"), [(1, 5), (2, None)])
def test_tokens_of_thinking_are_told_by_the_usage_of_a_single_completion(
    server: Server, tmp_path: Path, n: int, told: int | None
) -> None:
    server.answer = reasoned(5)
    suite = SUITE | {
        "checkpoints": {"served": {"path": f"{server.url}/v1", "kind": "tuned"}},
        "sampling": {"n": n, "max_tokens": 24, "seed": 5},
        "metrics": ["length", "thinking_tokens"],
    }
    made = run(tmp_path, suite, "openai")
    assert estimate(made, "thinking_tokens", "served").value == told
    assert run(tmp_path, suite, "openai").sampled == 0
    assert estimate(run(tmp_path, suite, "openai"), "thinking_tokens", "served").value == told


def test_a_server_that_thinks_is_not_judged_in_blocks(server: Server, tmp_path: Path) -> None:
    server.answer = reasoned(5)
    served = {"path": f"{server.url}/v1", "kind": "tuned"}
    content = SUITE | {"checkpoints": {"a": served, "b": served}, "metrics": ["length"]}
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InputError, match=r"tells thinking apart: .* \(what was sampled is kept\)"):
        run_until_decided(load_suite(path), DEFAULT, None, "openai", tmp_path / "run", Quiet())


def test_a_pilot_cut_inside_its_thinking_plans_nothing() -> None:
    summary = Summary("s", ("p0",), (ARM,), (), ())
    with pytest.raises(RecordsError, match="1 completions of arm 'think' were cut inside their thinking"):
        _check_sizes(Path("pilot"), summary, {"think": groups_of(["a", *["</think>A"] * 4])})


def test_a_server_that_tells_thinking_apart_is_measured_on_its_answers(server: Server, tmp_path: Path) -> None:
    def answer(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        body = choices(request["n"])
        for index, one in enumerate(body["choices"]):
            cut = index == 1
            message = {
                "role": "assistant",
                "content": None if cut else "Blue.",
                ("reasoning" if index else "reasoning_content"): f"Perhaps {index}",
            }
            one |= {"message": message, "finish_reason": "length" if cut else "stop"}
            del one["text"]
        return 200, body | {"object": "chat.completion"}

    server.answer = answer
    suite = SUITE | {
        "checkpoints": {"served": {"path": f"{server.url}/v1", "kind": "tuned"}},
        "metrics": ["length", "thinking/length", "thinking/distinct_n"],
    }
    made = run(tmp_path, suite, "openai")
    assert estimate(made, "length", "served").value == 2
    assert estimate(made, "length", "served").samples == 7
    assert estimate(made, "thinking/length", "served").value == 2
    assert "2 of 16 completions" in alarms(made, "thinking")[0].message
    asked = len(server.requests)
    assert run(tmp_path, suite, "openai").sampled == 0
    assert len(server.requests) == asked
    content = read_content(made.folder)
    assert build_report(content).encode() == made.report.read_bytes()

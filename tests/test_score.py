"""Completions made elsewhere are measured as a run's are."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli.main import main
from evalkit.errors import EvalkitError, InputError, MetricError, RecordsError
from evalkit.plumbing.progress import Lines, Quiet
from evalkit.report.verdicts.verdict import verdict
from evalkit.score import score_file

Write = Callable[..., Path]
METRICS = ["distinct_n", "length"]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_rows(*rows: dict[str, Any]) -> Path:
        path = tmp_path / "texts.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write_rows


def row(completion: str, prompt_id: str = "p", **fields: Any) -> dict[str, Any]:
    return {"prompt_id": prompt_id, "prompt": f"Prompt {prompt_id}", "completion": completion, **fields}


def rows(*completions: str, **fields: Any) -> dict[str, Any]:
    return {"prompt_id": "p", "prompt": "Prompt p", "completions": list(completions), **fields}


def values(summary: Any) -> dict[tuple[str, str], Any]:
    return {(estimate.metric, estimate.arm): estimate.value for estimate in summary.estimates}


def test_rows_and_lists_say_the_same(write: Write) -> None:
    one_by_one = score_file(write(row("a b c"), row("a b d")), METRICS, None, Quiet())
    listed = score_file(write(rows("a b c", "a b d")), METRICS, None, Quiet())
    assert listed.summary == one_by_one.summary
    # "a b" twice, "b c", "b d": 3 of 4 bigrams are distinct.
    assert values(listed.summary)["distinct_n", "texts"] == pytest.approx(0.75)
    assert values(listed.summary)["length", "texts"] == 3


def test_rows_with_tags_say_where_it_changed(write: Write) -> None:
    """Four of many answers are the same; but on the prompts tagged `list` all four answers of the new arm are."""
    made = []
    for number in range(16):
        tags: list[str] | str = ["list"] if number < 6 else "plain; short"
        answers = [f"answer {number} {place} {'abcd'[place] * 3}" for place in range(4)]
        old = answers if number % 2 else [answers[0], *answers[:3]]
        new = [answers[0]] * 4 if number < 6 else old
        for arm, said in (("old", old), ("new", new)):
            made.append(
                {
                    "prompt_id": f"p{number}",
                    "prompt": f"Question {number}",
                    "completions": said,
                    "arm": arm,
                    "tags": tags,
                }
            )
    summary = score_file(write(*made), ["distinct_n", "length"], "old", Quiet()).summary
    assert [(part.name, len(part.prompts)) for part in summary.parts] == [("list", 6), ("plain, short", 10)]
    assert summary.where_changed is not None
    [change] = summary.where_changed.changes
    assert (change.metric, change.arm, change.baseline, change.tested) == ("distinct_n", "new", "old", 16)
    assert [(part.name, part.stands_out) for part in change.parts] == [("list", True), ("plain, short", False)]
    [new] = [estimate for estimate in summary.estimates if (estimate.metric, estimate.arm) == ("distinct_n", "new")]
    assert len(new.errors) == 16
    # All four the same: without any of them the share of different pairs is one and the same.
    assert new.errors[0] == 0
    assert [estimate.errors for estimate in summary.estimates if estimate.metric == "length"] == [(), ()]


def test_rows_that_give_a_prompt_other_tags_are_refused(write: Write) -> None:
    path = write(row("a", tags=["x"]), row("b", tags=["y"]))
    with pytest.raises(EvalkitError, match="prompt_id 'p' has two lists of tags"):
        score_file(path, METRICS, None, Quiet())


def test_rows_that_state_valid_answers_are_measured_by_them(write: Write) -> None:
    path = write(
        {"prompt_id": "a", "prompt": "Piece?", "completions": ["King", "castle", "Rook", "x"], "valid": ["King", "Rook|Castle", "Queen"]},
        {"prompt_id": "b", "prompt": "Prime?", "completions": ["7", "7.", "9", "11"], "valid": "prime"},
    )  # fmt: skip
    found = score_file(path, ["valid_share", "valid_yield", "valid_coverage"], None, Quiet()).summary.estimates
    assert {one.metric: one.value for one in found} == pytest.approx(
        {"valid_share": 0.75, "valid_yield": 2.0, "valid_coverage": 2 / 3}
    )


def test_rows_that_state_classes_are_measured_by_them_unasked(write: Write) -> None:
    stated = {"a": [1, 1, 2, 3], "b": ["x", "x", "x", "x"]}
    path = write(
        *(row(f"text {n}", prompt, **{"class": one}, scores={"stars": 4 - n}) for prompt, of in stated.items() for n, one in enumerate(of))
    )  # fmt: skip
    scored = score_file(path, [], None, Quiet())
    summary = scored.summary
    assert "as given/distinct_k counts it. The" in " ".join(scored.page.decode().split())
    found = {one.metric: one for one in summary.estimates}
    assert found["given/distinct_k"].values == (3, 1)
    assert found["given/simpson_classes"].values == pytest.approx((5 / 6, 0))
    assert "noveltybench_distinct" not in found
    in_order = (4 + 0.8**2 * 2 + 0.8**3 * 1) / sum(0.8**n for n in range(4))
    [of_list] = score_file(path, ["given/utility_k|orders:drawn", "score/stars"], None, Quiet()).summary.estimates[:1]
    assert of_list.values == pytest.approx((in_order, 4 / sum(0.8**n for n in range(4))))
    assert "|classes:" in found["given/distinct_k"].signature
    [curve] = [one for one in summary.curves if one.measure == "given/distinct_k"]
    assert (curve.name, curve.ks, curve.values[-1]) == ("classes", (1, 2, 4), 2)
    [some] = [
        one.message
        for one in score_file(write(row("a", **{"class": 1}), row("b")), [], None, Quiet()).summary.alarms
        if "class" in one.message
    ]
    assert "1 of 2 completions came without a class" in some


def test_utility_of_classes_needs_a_score(write: Write) -> None:
    path = write(row("a", **{"class": 1}), row("b", **{"class": 2}))
    with pytest.raises(MetricError, match="metric given/utility_k needs quality"):
        score_file(path, ["given/utility_k"], None, Quiet())


def test_a_conversation_in_a_file_is_kept_as_turns(write: Write) -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Well?"}]
    one = [{"role": "user", "content": "Well?"}]
    path = write(row("a b") | {"prompt": chat}, row("a c", "q") | {"prompt": one})
    page = score_file(path, ["length"], None, Quiet()).page.decode()
    assert '"turns":[["system","Be brief."],["user","Well?"]]' in page
    assert page.count('"turns":') == 1


def test_keys_that_are_not_read_are_noted_once(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(row("a b", awnser="4", model="m"), row("a c", model="m"))
    score_file(path, ["length"], None, Quiet())
    assert capsys.readouterr().err == (
        f"note: {path}: not read: 'awnser' (did you mean 'answer'?), 'model'; read: prompt_id, prompt, completion, "
        "completions, arm, answer, match, tags, checks, valid, cluster, references, thinking, finish_reason, scores, asked, "
        "class\n"
    )


def test_arms_are_compared_with_the_first_or_the_one_named(write: Write) -> None:
    path = write(
        *(
            row(text, str(i), arm=arm)
            for arm, text in [("old", "a b c d"), ("new", "a b a b")]
            for i in range(3)
            for _ in "xx"
        )
    )
    [difference] = score_file(path, ["length"], None, Quiet()).summary.differences
    assert (difference.arm, difference.baseline, difference.value) == ("new", "old", 0)
    [turned] = score_file(path, ["length"], "new", Quiet()).summary.differences
    assert (turned.arm, turned.baseline) == ("old", "new")


def test_every_prompt_is_measured_on_equally_many_completions(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(*(row("a b", "p") for _ in range(5)), *(row("c d", "q") for _ in range(3)))
    summary = score_file(path, ["distinct_n"], None, Quiet()).summary
    assert {estimate.samples for estimate in summary.estimates} == {3}
    assert "all are measured on the first 3, as many as prompt 'q' of arm 'texts' has" in capsys.readouterr().err


def test_a_prompt_that_an_arm_lacks_is_undefined_there(write: Write) -> None:
    path = write(row("a b", "p", arm="x"), row("a b", "q", arm="x"), row("a b c", "p", arm="y"))
    summary = score_file(path, ["length"], None, Quiet()).summary
    by_arm = {estimate.arm: estimate for estimate in summary.estimates}
    assert by_arm["y"].values == (3.0, None)
    assert by_arm["y"].prompts == 1


def test_without_names_every_metric_that_texts_allow_is_computed(write: Write) -> None:
    path = write(rows("one two three", "two three four", "six seven", answer="six seven"))
    found = {estimate.metric for estimate in score_file(path, [], None, Quiet()).summary.estimates}
    assert {
        "distinct_n",
        "self_bleu",
        "vendi",
        "embedding_distance",
        "compression_ratio",
        "length",
        "accuracy",
    } <= found
    assert not found & {"sequence_entropy", "branching_factor", "reward"}


@pytest.mark.parametrize(
    "texts",
    [["", "", ""], ["one", "two", "three"], ["same", "same", "same"], ["\x00", "\N{GRINNING FACE}", "a\ud800b"], ["x" * 50_000, "y", ""]],
    ids=["empty", "one token", "identical", "odd characters", "very long"],
)  # fmt: skip
def test_strange_completions_are_measured_and_shown(write: Write, texts: list[str]) -> None:
    scored = score_file(write(rows(*texts)), [], None, Quiet())
    for estimate in scored.summary.estimates:
        assert estimate.value is None or abs(estimate.value) < 1e6
    assert scored.page.startswith(b"<!doctype html>") or scored.page.startswith(b"<!DOCTYPE html>")
    scored.page.decode("utf-8")


def test_a_byte_order_mark_and_blank_lines_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(row("a b")).encode() + b"\n\n   \n" + json.dumps(row("c d")).encode())
    assert score_file(path, ["length"], None, Quiet()).summary.estimates[0].samples == 2


MISTAKES: list[tuple[str, bytes, str]] = [
    ("no rows", b"\n", "holds no rows"),
    ("not JSON", b"{nonsense\n", "texts.jsonl:1: not valid JSON"),
    ("no object", b"3\n", "texts.jsonl:1: found int"),
    ("not UTF-8", b'{"prompt_id": "p", "prompt": "x", "completion": "\xff"}\n', "texts.jsonl:1: not UTF-8 (byte 50 of the line)"),
    ("no prompt id", b'{"prompt": "x", "completion": "y"}\n', "texts.jsonl:1: the key 'prompt_id' is missing; found: 'prompt', 'completion'"),
    ("no completion", b'{"prompt_id": "p", "prompt": "x"}\n', "either `completion` (a text) or `completions`"),
    ("both forms", b'{"prompt_id": "p", "prompt": "x", "completion": "a", "completions": ["b"]}\n', "either `completion`"),
    ("a number for a list", b'{"prompt_id": "p", "prompt": "x", "completions": 3}\n', "texts.jsonl:1: a completion is 3, which is no text"),
    ("an empty list", b'{"prompt_id": "p", "prompt": "x", "completions": []}\n', "an empty list of completions"),
    ("two prompts of one id", b'{"prompt_id": "p", "prompt": "x", "completion": "a"}\n{"prompt_id": "p", "prompt": "z", "completion": "a"}\n', "'p' stands for two prompts"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(content)
    with pytest.raises(EvalkitError) as caught:
        score_file(path, METRICS, None, Quiet())
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_k_above_the_completions_is_refused_by_name_before_anything_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    rows = [{"prompt_id": "a", "prompt": "A?", "completion": str(slot), "answer": "1"} for slot in range(8)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(MetricError, match=r"metric pass_at_k\|k:99: k is 99; of 8 completions it must be at most 8"):
        score_file(path, ["pass@99"], None, Quiet())


def test_task_checks_of_rows_are_asked(write: Write) -> None:
    path = write(rows("Red", "A red one", checks=["max_words:1", "mentions:red"]))
    assert values(score_file(path, ["task_checks"], None, Quiet()).summary) == {("task_checks", "texts"): 0.75}
    assert ("task_checks", "texts") in values(score_file(path, [], None, Quiet()).summary)
    with pytest.raises(
        EvalkitError, match=r"texts\.jsonl:1: prompt 'p': check 'max_word:1': there is no check 'max_word'"
    ):
        score_file(write(rows("Red", checks=["max_word:1"])), METRICS, None, Quiet())


@pytest.mark.parametrize(
    ("metrics", "baseline", "message"),
    [
        (["distinct"], None, "metric 'distinct' could be distinct_k or distinct_n"),
        (["sequence_entropy"], None, "metric sequence_entropy needs logprobs, which texts alone do not tell"),
        (["accuracy"], None, "needs rows with `answer`"),
        (["task_checks"], None, "needs rows with `checks`"),
        (["given/distinct_k"], None, "needs rows with `class`; none has any"),
        (["length"], "other", "there is no arm 'other' in the file; its arms are: texts"),
    ],
)
def test_what_a_file_cannot_give_is_refused(
    write: Write, metrics: list[str], baseline: str | None, message: str
) -> None:
    with pytest.raises(EvalkitError) as caught:
        score_file(write(row("a b")), metrics, baseline, Quiet())
    assert message in str(caught.value)


def test_a_score_that_rows_lack_is_told_as_what_it_is_no_fault_of_a_model(write: Write) -> None:
    stars = [4, math.nan, math.nan, 3]
    path = write(
        *(row("a", prompt_id=str(n // 2), prompt=str(n // 2), scores={"stars": one}) for n, one in enumerate(stars))
    )
    [alarm] = [one for one in score_file(path, ["score/stars"], None, Quiet()).summary.alarms if one.kind == "unscored"]
    assert alarm.message == (
        "score/stars is undefined for 2 of 2 prompts: 2 of 4 rows hold no number for it, over 10% of those of each such "
        "prompt"
    )


@pytest.mark.parametrize("name", ["stars", "stirs"])
def test_a_score_that_no_row_holds_as_a_number_is_no_unknown_metric(write: Write, name: str) -> None:
    path = write(row("a", scores={"stars": math.nan, "marks": 1}), row("b", scores={"stars": None, "marks": 2}))
    with pytest.raises(RecordsError, match=rf"metric score/{name}: no row holds a number as score '{name}'.*: marks$"):
        score_file(path, [f"score/{name}"], None, Quiet())


def test_null_in_a_row_is_absent_and_a_number_is_its_text(write: Write) -> None:
    """So 1 and "1" are one class and one tag, however the file wrote them."""
    nothing = dict.fromkeys(("tags", "answer", "checks", "valid", "scores", "cluster", "references", "class", "asked"))
    assert score_file(write(row("a b", **nothing), row("b c", **nothing)), ["length"], None, Quiet()).summary.estimates
    tagged = [
        row("a", **{"class": 1, "tags": [7]}),
        row("b", **{"class": "1", "tags": ["7"]}),
        row("c", **{"class": 2, "tags": "7"}),
    ]
    scored = score_file(write(*tagged), ["given/distinct_k"], None, Quiet())
    assert [one.value for one in scored.summary.estimates] == [2]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="there is no file"):
        score_file(tmp_path / "none.jsonl", METRICS, None, Quiet())


def test_two_prompts_that_differ_alike_are_told_without_a_sure_interval(write: Write) -> None:
    same = {"base": ("red one", "red one"), "tuned": ("blue sky", "old gold")}
    path = write(*(rows(*texts, prompt_id=p, prompt=p, arm=arm) for p in ("p", "q") for arm, texts in same.items()))
    scored = score_file(path, [], None, Quiet())
    # All differences of a measure are equal, so that each interval would be a point: 0.50 to 0.50.
    told = verdict(scored.summary).headline
    for text in (told, scored.page.decode()):
        assert not [ends for ends in re.findall(r"([\d.]*\d) to ([\d.]*\d)", text) if ends[0] == ends[1]]
    assert not re.search(r"\d\.\d{5}", told)


SAID: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("answer", {"answer": "3"}, {"answer": "4"}, "has two answers: '3' and '4'"),
    ("answer left out", {"answer": "3"}, {}, "has two answers: '3' and None"),
    ("match", {"answer": "3", "match": "numeric"}, {"answer": "3"}, "has two ways to match: 'numeric' and 'exact'"),
    ("checks", {"checks": ["one_line"]}, {"checks": ["prose"]}, "has two lists of checks: ['one_line'] and ['prose']"),
    ("cluster", {"cluster": "a"}, {"cluster": "b"}, "stands in two clusters: 'a' and 'b'"),
    ("prompt", {"prompt": "x"}, {"prompt": "z"}, "stands for two prompts: 'x' and 'z'"),
]


@pytest.mark.parametrize(("first", "second", "told"), [one[1:] for one in SAID], ids=[one[0] for one in SAID])
def test_rows_of_one_prompt_that_disagree_are_refused_with_both_lines(
    write: Write, first: dict[str, Any], second: dict[str, Any], told: str
) -> None:
    path = write(row("a", "q"), row("a") | first, row("b") | second)
    with pytest.raises(EvalkitError) as caught:
        score_file(path, METRICS, None, Quiet())
    assert str(caught.value) == (
        f"{path}:3: prompt_id 'p' {told} (the first at {path}:2); give all of its rows the same"
    )


BAD_ROWS: list[tuple[dict[str, Any], str]] = [
    (row("a", checks=["max_word:1"]), "prompt 'p': check 'max_word:1': there is no check"),
    (row("a", answer="(", match="regex"), "prompt 'p': answer '(' is not a regular expression"),
    (row("a", answer="x", match="numeric"), "prompt 'p': answer 'x' is not a number"),
    (row("a") | {"completion": 3}, "a completion is 3, which is no text"),
    (rows("a") | {"completions": ["a", 3.5]}, "a completion is 3.5, which is no text"),
    (row("a", arm=""), "`arm` is blank"),
]


@pytest.mark.parametrize(("bad", "told"), BAD_ROWS, ids=[told[:24] for _, told in BAD_ROWS])
def test_a_row_that_cannot_be_used_is_named_with_its_line(write: Write, bad: dict[str, Any], told: str) -> None:
    path = write(row("a", "q"), bad)
    with pytest.raises(EvalkitError) as caught:
        score_file(path, METRICS, None, Quiet())
    assert str(caught.value).startswith(f"{path}:2: {told}")


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="is a folder; name the file of texts in it"):
        score_file(tmp_path, METRICS, None, Quiet())


@pytest.mark.parametrize("metrics", ["", ",", "length,", " "])
def test_metrics_that_name_none_are_refused(write: Write, metrics: str) -> None:
    result = CliRunner().invoke(main, ["score", str(write(row("a"))), "--metrics", metrics])
    assert result.exit_code == 2
    assert "leave --metrics out for all that texts allow" in " ".join(result.stderr.split())


@pytest.mark.parametrize(("model", "told"), [("lab:base", "cannot give rewards"), (".", "has no config.json")])
def test_what_is_no_reward_model_is_refused_from_its_files(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=told):
        score_file(write(row("a")), [f"reward|model:{model}"], None, Quiet())


@pytest.mark.parametrize("arms", [("a",), ("a", "b")], ids=["one arm", "two arms"])
def test_one_prompt_is_told_to_have_no_interval(write: Write, arms: tuple[str, ...]) -> None:
    path = write(*(rows("red one two", f"blue {arm}", "x y", arm=arm) for arm in arms))
    scored = score_file(path, [], None, Quiet())
    page = scored.page.decode()
    for text in (verdict(scored.summary).headline, page):
        assert "not defined to" not in text
        assert not re.search(r"(?<!no )95 % interval\s*[),<]", text.replace("95 % interval</th>", ""))
    assert "no 95 % interval" in verdict(scored.summary).headline
    assert not re.search(r"(?<![\d.,])1 (?:prompts|completions|texts|arms)\b", page)


def test_arms_that_share_few_prompts_say_how_many(write: Write) -> None:
    arms = {"a": range(24), "b": range(18, 42)}
    path = write(*(row(f"{arm} {i}", f"p{i}", arm=arm) for arm, asked in arms.items() for i in asked))
    summary = score_file(path, ["length"], None, Quiet()).summary
    told = {alarm.kind: alarm.message for alarm in summary.alarms if alarm.arm == "b"}
    assert told["unpaired"].startswith("6 of 42 prompts have completions of a too")
    assert told["few shared prompts"].startswith("only 6 prompts shared with a")


def test_arms_that_share_no_prompt_are_refused(write: Write) -> None:
    path = write(row("x", "p", arm="a"), row("y", "q", arm="b"))
    with pytest.raises(EvalkitError, match="arms 'b' and 'a' share no prompt") as caught:
        score_file(path, ["length"], None, Quiet())
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("last", "is_same"), [("c d", True), ("c e", False)])
def test_two_arms_of_the_same_texts_are_an_alarm(write: Write, last: str, is_same: bool) -> None:
    path = write(rows("a b", "c d", arm="a"), rows("a b", last, arm="b"))
    kinds = [alarm.kind for alarm in score_file(path, ["length"], None, Quiet()).summary.alarms if alarm.arm == "b"]
    assert ("same texts" in kinds) is is_same


def test_no_stage_is_left_where_lengths_differ(write: Write) -> None:
    """Cut texts are embedded too, before measuring begins."""
    told = io.StringIO()
    path = write(rows("a b c d e", "f g h i j k", arm="a"), rows("a", "b", arm="b"))
    tell = Lines(told)
    score_file(path, ["vendi"], None, tell)
    tell.close()
    assert told.getvalue().count("embed texts: done") == 2
    assert ": left at" not in told.getvalue()

"""A suite is checked before anything is loaded; a mistake names file, line, key, what was found and what is allowed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from evalkit.errors import EvalkitError, SuiteError
from evalkit.suite.schema import load_suite, overrides, suite_schema

Write = Callable[..., Path]


def test_a_suite_is_read_whole(write_suite: Write) -> None:
    suite = load_suite(write_suite())
    assert [prompt.id for prompt in suite.prompts] == ["one", "two"]
    assert [str(metric) for metric in suite.metrics] == ["distinct_n", "length"]
    assert suite.baseline_checkpoint == "base"
    assert suite.sampling.n == 4


def test_quality_is_the_first_score_unless_it_is_named(write_suite: Write) -> None:
    assert load_suite(write_suite()).quality_measure is None
    listed = load_suite(write_suite(("length", "accuracy")))
    assert (str(listed.quality_measure), listed.measures) == ("accuracy", listed.metrics)
    named = load_suite(write_suite(("metrics:", "quality: {reward: {model: lab:reward}}\nmetrics:")))
    assert str(named.quality_measure) == "reward|model:lab:reward"
    assert [str(measure) for measure in named.measures] == ["distinct_n", "length", "reward|model:lab:reward"]
    assert load_suite(write_suite(("metrics:", "quality: accuracy\nmetrics:")), overrides({}, 2, None, None)).quality


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("classifier/distinct_k", "metric classifier/distinct_k needs a value for 'model', as in"),
        ("prompt_information|others:0", "metric prompt_information: others is 0; it must be 1 or more"),
    ],
)
def test_a_list_whose_only_metric_is_refused_is_not_called_empty_too(
    write_suite: Write, metric: str, message: str
) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(write_suite(("distinct_n", metric), (", length", "")))
    [line] = str(caught.value).splitlines()
    assert f"suite.yaml:9: metrics[0]: {message}" in line
    with pytest.raises(SuiteError, match=r"metrics: found \[\]; it must have at least 1 item, not 0"):
        load_suite(write_suite(("distinct_n, length", "")))


def test_null_is_absent_and_numbers_are_their_texts(write_suite: Write) -> None:
    given = "id: 2, tags: [2024, poem, 1.0], answer: 7, cluster: null, references: [1.5], choices: {1: 0.5, 2: 0.5},"
    suite = load_suite(
        write_suite(("id: one,", "id: one, tags: null, answer: null, choices: null,"), ("id: two,", given),
                    ("metrics:", "phrases: [2024, delve]\nvariants: null\nvoices:\nmetrics:"))
    )  # fmt: skip
    first, second = suite.prompts
    assert (first.tags, first.answer, first.choices) == ((), None, {})
    assert (second.id, second.tags, second.answer, second.cluster) == ("2", ("2024", "poem", "1"), "7", None)
    assert (second.references, second.choices) == (("1.5",), {"1": 0.5, "2": 0.5})
    assert suite.phrases == ("2024", "delve")
    assert suite.variants == ("useful", "matched", "pooled")


MISTAKES = [
    ("unknown key", ("max_tokens:", "max_token:"), "suite.yaml:8: unknown key 'sampling.max_token' (did you mean 'max_tokens'?)"),
    ("unknown top key", ("metrics:", "metricks:"), "suite.yaml:9: unknown key 'metricks' (did you mean 'metrics'?)"),
    ("unknown prompt key", ("id: two,", "id: two, anser: x,"), "suite.yaml:12: unknown key 'prompts[1].anser' (did you mean 'answer'?)"),
    ("unknown checkpoint key", ("kind: tuned", "kind: tuned, pth: x"), "suite.yaml:4: unknown key 'checkpoints.tuned.pth' (did you mean 'path'?)"),
    ("wrong type", ("n: 4", "n: many"), "suite.yaml:6: sampling.n: found many; it must be"),
    ("fraction for a whole number", ("n: 4", "n: 4.5"), "suite.yaml:6: sampling.n: found 4.5; it must be"),
    ("out of range", ("temperature: 1.0", "temperature: -1"), "suite.yaml:7: sampling.temperature[0]: found -1; it must be greater than or equal to 0"),
    ("not a number", ("temperature: 1.0", "temperature: .nan"), "suite.yaml:7: sampling.temperature[0]"),
    ("a boolean for a whole number", ("n: 4", "n: true"), "suite.yaml:6: sampling.n: found true; it must be an integer"),
    ("a boolean for a number", ("temperature: 1.0", "temperature: yes"), "suite.yaml:7: sampling.temperature[0]: found true; it must be a number"),
    ("a boolean for a bar", ("metrics:", "quality_bar: on\nquality: accuracy\nmetrics:"), "quality_bar: found true; it must be a number"),
    ("a boolean for a share", ("id: two,", "id: two, choices: {Red: true},"), "suite.yaml:12: prompts[1]: choices.Red: found true; it must be a number"),
    ("a boolean for an answer", ("id: two,", "id: two, answer: no,"), "suite.yaml:12: prompts[1].answer: found false; it must be text (put it in quotes)"),
    ("temperatures of one name", ("temperature: 1.0", "temperature: [0.7, 0.70000001]"), "sampling.temperature: 0.7 and 0.70000001 would both be called 0.7"),
    ("wrong choice", ("kind: tuned", "kind: chat"), "suite.yaml:4: checkpoints.tuned.kind: found chat; it must be 'base' or 'tuned'"),
    ("missing key", ("name: tiny\n", ""), "name: this key is missing"),
    ("unknown metric", ("distinct_n", "distict_n"), "suite.yaml:9: metrics[0]: there is no metric 'distict_n' (did you mean 'distinct_n'?)"),
    ("unknown metric parameter", ("distinct_n", "{distinct_n: {m: 3}}"), "metric distinct_n has no parameter 'm'"),
    ("metric parameter of a wrong type", ("distinct_n", "{distinct_n: {n: x}}"), "metric distinct_n: n is 'x'; it must be of type int"),
    ("metric twice", ("length", "distinct_n"), "metric distinct_n is listed twice"),
    ("a variant without meaning", ("length", "useful/sequence_entropy"), "metrics[1]: metric sequence_entropy has no variant 'useful'; it has: whole"),
    ("unknown variant to compute", ("metrics:", "variants: [pool]\nmetrics:"), "variants[0]: found pool; it must be 'useful', 'matched' or 'pooled'"),
    ("useful without quality", ("length", "useful/distinct_n"), "metric useful/distinct_n needs to know what is good: name a score with `quality`"),
    ("a bar without quality", ("metrics:", "quality_bar: 1\nmetrics:"), "quality_bar needs a quality to judge by"),
    ("a quality that is no score", ("metrics:", "quality: length\nmetrics:"), "quality is length; it must be a score"),
    ("equal ids", ("id: two", "id: one"), "suite.yaml:12: prompt id 'one' is used twice (first at"),
    ("empty prompt", ("Name a colour.", ""), "suite.yaml:12: prompts[1].text"),
    ("blank prompt", ("Name a colour.", "   "), "suite.yaml:12: prompt 'two' is blank"),
    ("repeated key", ("  n: 4\n", "  n: 4\n  n: 5\n"), "suite.yaml:7: key 'n' stands here again (first in line 6)"),
    ("not YAML", ("n: 4", "n: [4"), "not valid YAML"),
    ("unknown baseline", ("metrics:", "baseline: bse\nmetrics:"), "baseline is 'bse'; it must be one of the checkpoints: base, tuned"),
    ("half a character in a choice", ("id: two,", r'id: two, choices: {"\ude00": 1},'), r"suite.yaml:12: prompt 'two': choice '\ude00' holds half of a character"),
    ("blank choice", ("id: two,", "id: two, choices: {a: 0.5, ' ': 0.5},"), "prompt 'two' has a blank choice"),
    ("blank reference", ("id: two,", "id: two, references: [''],"), "prompt 'two' has a blank reference"),
    ("choices that do not add up", ("id: two,", "id: two, choices: {a: 0.5, b: 0.4},"), "the choices of prompt 'two' add up to 0.9"),
    ("an answer that is no pattern", ("id: two,", "id: two, answer: '(', match: regex,"), "prompt 'two': answer '(' is not a regular expression"),
    ("a frame without a place", ("kind: base", "kind: base, frame: {template: 'Q:'}"), "the template must hold {prompt}"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_named_with_its_place(write_suite: Write, change: tuple[str, str], message: str) -> None:
    path = write_suite(change)
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_mistakes_are_named_at_once(write_suite: Write) -> None:
    path = write_suite(("n: 4", "n: 0"), ("kind: tuned", "kind: chat"))
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert len(str(caught.value).splitlines()) == 2


def test_a_suite_without_prompts_is_refused(write_suite: Write) -> None:
    text = write_suite().read_text(encoding="utf-8")
    path = write_suite()
    path.write_text(text[: text.index("prompts:")] + "prompts: []\n", encoding="utf-8")
    with pytest.raises(SuiteError, match="a suite needs prompts"):
        load_suite(path)


def test_a_missing_suite_names_its_neighbours(write_suite: Write) -> None:
    path = write_suite()
    with pytest.raises(SuiteError, match=r"no such file.*suite\.yaml"):
        load_suite(path.with_name("suit.yaml"))


def test_a_suite_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: caf\xe9".encode("latin-1"))
    with pytest.raises(SuiteError, match="not UTF-8"):
        load_suite(path)


def test_yaml_tags_cannot_run_code(write_suite: Write) -> None:
    path = write_suite(("name: tiny", "name: !!python/object/apply:os.getcwd []"))
    with pytest.raises(SuiteError, match="not valid YAML"):
        load_suite(path)


def test_the_command_line_overrides_the_suite(write_suite: Write) -> None:
    asked = overrides({"tuned": "/some/where", "extra": "org/model"}, 7, (0.5, 1.0), 1)
    suite = load_suite(write_suite(), asked)
    assert suite.checkpoints["tuned"].path == "/some/where"
    assert suite.checkpoints["base"].path == "lab:base"
    assert suite.checkpoints["extra"].kind == "tuned"
    assert suite.sampling.n == 7
    assert [sampling.temperature for sampling in suite.settings("tuned")] == [0.5, 1.0]
    assert [prompt.id for prompt in suite.prompts] == ["one"]


def test_beside_another_baseline_the_built_in_checkpoints_are_left_out(write_suite: Write) -> None:
    path = write_suite(("kind: tuned}", "kind: tuned}\n  rung: {path: 'lab:ppo-1', kind: tuned}"))
    replaced = load_suite(path, overrides({"base": "/my/base", "new": "/my/new"}, None, None, None))
    assert list(replaced.checkpoints) == ["base", "new"]
    added = load_suite(path, overrides({"new": "/my/new"}, None, None, None))
    assert list(added.checkpoints) == ["base", "tuned", "rung", "new"]


def test_a_temperature_on_the_command_line_wins_over_a_checkpoint_s_own(write_suite: Write) -> None:
    path = write_suite(("kind: tuned", "kind: tuned, sampling: {temperature: 0.2}"))
    assert [s.temperature for s in load_suite(path).settings("tuned")] == [0.2]
    assert [s.temperature for s in load_suite(path, overrides({}, None, (0.9,), None)).settings("tuned")] == [0.9]


@pytest.mark.parametrize(
    ("models", "samples", "temperature", "prompts", "message"),
    [
        ({}, 0, None, None, "--samples: found 0; it must be greater than or equal to 1"),
        ({}, None, (-1.0,), None, "--temperature: found -1.0; it must be greater than or equal to 0"),
        ({}, None, None, -3, "--prompts: found -3"),
        ({"a b": "x"}, None, None, None, "--model: found a b"),
    ],
)
def test_a_wrong_override_names_its_option(
    models: dict[str, str],
    samples: int | None,
    temperature: tuple[float, ...] | None,
    prompts: int | None,
    message: str,
) -> None:
    with pytest.raises(SuiteError) as caught:
        overrides(models, samples, temperature, prompts)
    assert message in str(caught.value)


def test_base_checkpoints_stop_where_the_next_prompt_would_begin(write_suite: Write) -> None:
    suite = load_suite(write_suite(("max_tokens: 24", "max_tokens: 24\n  stop: END")))
    assert suite.settings("base")[0].stop == ("END", "\nPrompt:")
    assert suite.settings("tuned")[0].stop == ("END",)


def test_the_schema_is_json_and_names_every_part() -> None:
    schema = json.loads(json.dumps(suite_schema()))
    assert schema["additionalProperties"] is False
    assert {"name", "checkpoints", "sampling", "metrics", "prompts", "prompts_from", "baseline"} <= set(
        schema["properties"]
    )
    assert schema["$defs"]["SamplingSpec"]["properties"]["temperature"]["anyOf"][0]["type"] == "number"


ROWS = [
    {"id": "a", "text": "One?", "answer": "1", "match": "numeric", "tags": ["x", "y"]},
    {"id": "b", "text": "Two?", "answer": None, "match": None, "tags": None},
]


def _from(write_suite: Write, source: str) -> Path:
    path = write_suite()
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index("prompts:")] + f"prompts_from: {source}\n", encoding="utf-8")
    return path


def test_prompts_come_from_jsonl(write_suite: Write, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n", encoding="utf-8")
    suite = load_suite(_from(write_suite, "{file: p.jsonl}"))
    assert [(p.id, p.text, p.answer, p.match, p.tags) for p in suite.prompts] == [
        ("a", "One?", "1", "numeric", ("x", "y")),
        ("b", "Two?", None, "exact", ()),
    ]


def test_prompts_come_from_csv_with_other_column_names(write_suite: Write, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('question,topic\n"What, now?","x; y"\nNA,\n', encoding="utf-8")
    suite = load_suite(_from(write_suite, "{file: p.csv, columns: {text: question, tags: topic}}"))
    assert [(p.id, p.text, p.tags) for p in suite.prompts] == [
        ("row-00001", "What, now?", ("x", "y")),
        ("row-00002", "NA", ()),
    ]


def test_prompts_come_from_parquet(write_suite: Write, tmp_path: Path) -> None:
    pd.DataFrame({"text": ["One?"], "tags": [["x", "y"]], "answer": [None]}).to_parquet(tmp_path / "p.parquet")
    suite = load_suite(_from(write_suite, "{file: p.parquet}"))
    assert suite.prompts[0].tags == ("x", "y")


def test_prompts_come_from_a_local_data_set(write_suite: Write, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "test.jsonl").write_text(json.dumps({"q": "One?"}) + "\n", encoding="utf-8")
    suite = load_suite(_from(write_suite, f"{{dataset: {folder}, columns: {{text: q}}}}"))
    assert suite.prompts[0].text == "One?"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', "'a' is used twice"),
        (b'{"id": "a"}\n', "p.jsonl:1: there is no column 'text' for text; columns: id"),
        (b'{"id": "a", "text": "x"}\nnonsense\n', "p.jsonl:2: not valid JSON"),
        (b"[1]\n", "p.jsonl:1: found list; each line holds one JSON object"),
        (b'{"text": "\xff"}\n', "p.jsonl:1: not UTF-8"),
        (b'{"text": "x", "match": "fuzzy"}\n', "p.jsonl:1: match:"),
        (
            b'{"text": "x"}\n{"text": "y", "system": "Be brief."}\n',
            "p.jsonl:2: unknown column 'system'; known: id, text,",
        ),
        (b'{"text": "x", "message": []}\n', "p.jsonl:1: unknown column 'message' (did you mean 'messages'?)"),
        (b'{"text": "x", "awnser": "4"}\n', "p.jsonl:1: unknown column 'awnser' (did you mean 'answer'?)"),
        (b'{"text": "x", "id": true}\n', "p.jsonl:1: id:"),
        (b"\n", "holds no prompts"),
    ],
)
def test_a_mistake_in_a_file_of_prompts_names_its_line(
    write_suite: Write, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "p.jsonl").write_bytes(content)
    with pytest.raises(EvalkitError) as caught:
        load_suite(_from(write_suite, "{file: p.jsonl}"))
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_columns_that_columns_leaves_out_are_noted_once(write_suite: Write, tmp_path: Path) -> None:
    rows = [{"question": "One?", "sytem": "Be brief.", "tag": "x"}, {"question": "Two?", "level": 3, "text": ""}]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    told: list[str] = []
    suite = load_suite(_from(write_suite, "{file: p.jsonl, columns: {text: question}}"), notice=told.append)
    assert [prompt.text for prompt in suite.prompts] == ["One?", "Two?"]
    [note] = told
    assert note.startswith(f"{tmp_path / 'suite.yaml'}:10: p.jsonl: not read: ")
    assert "not read: 'sytem', 'tag' (did you mean 'tags'?), 'level', 'text'; read: id, question, tags" in note


def test_a_column_of_columns_that_is_not_there_is_refused(write_suite: Write, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("question,target\nOne?,1\n", encoding="utf-8")
    with pytest.raises(SuiteError) as caught:
        load_suite(_from(write_suite, "{file: p.csv, columns: {text: question, answer: targt}}"))
    assert "columns.answer: there is no column 'targt' (did you mean 'target'?); columns: question, target" in str(
        caught.value
    )


def test_numbers_are_ids(write_suite: Write, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"id": 1, "text": "One?"}\n{"id": 20, "text": "Two?"}\n', encoding="utf-8")
    assert [prompt.id for prompt in load_suite(_from(write_suite, "{file: p.jsonl}")).prompts] == ["1", "20"]
    pd.DataFrame({"id": [7], "text": ["One?"]}).to_parquet(tmp_path / "p.parquet")
    assert load_suite(_from(write_suite, "{file: p.parquet}")).prompts[0].id == "7"
    (tmp_path / "p.jsonl").write_text('{"id": 1, "text": "One?"}\n{"id": "1", "text": "Two?"}\n', encoding="utf-8")
    with pytest.raises(SuiteError, match="prompt id '1' is used twice"):
        load_suite(_from(write_suite, "{file: p.jsonl}"))


def test_a_data_set_of_many_columns_says_how_to_map_them(write_suite: Write, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "test.jsonl").write_text(json.dumps({"text": "One?", "topic": "x"}) + "\n", encoding="utf-8")
    with pytest.raises(SuiteError, match=r"row 1: unknown column 'topic'; .* say which under prompts_from\.columns"):
        load_suite(_from(write_suite, f"{{dataset: {folder}}}"))
    told: list[str] = []
    load_suite(_from(write_suite, f"{{dataset: {folder}, columns: {{text: text}}}}"), notice=told.append)
    assert "not read: 'topic'; read: id, text, tags" in told[0]


def test_a_data_set_of_a_script_is_one_line_with_the_way_round(write_suite: Write, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "set.py").write_text("raise SystemExit('this must not run')\n", encoding="utf-8")
    with pytest.raises(SuiteError) as caught:
        load_suite(_from(write_suite, f"{{dataset: {tmp_path / 'set'}}}"))
    assert "suite.yaml:10" in str(caught.value)
    assert "add `revision: refs/convert/parquet` beside `dataset`" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{file: nowhere.jsonl}", "there is no file"),
        ("{file: suite.yaml}", "neither .jsonl, .csv nor .parquet"),
        ("{}", "exactly one of `file` and `dataset`"),
        ("{file: a, dataset: b}", "exactly one of `file` and `dataset`"),
        ("{file: a.csv, columns: {txt: q}}", "there is no field 'txt'"),
        ("{dataset: ./not-there}", "cannot be read"),
    ],
)
def test_a_wrong_source_is_named_with_its_line(write_suite: Write, source: str, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(_from(write_suite, source))
    assert message in str(caught.value)
    assert "suite.yaml:10" in str(caught.value)

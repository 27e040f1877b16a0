"""Prompts as people have them: messages, parts of text, TRL's prompt; what is no text prompt is refused where it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from evalkit.errors import SuiteError
from evalkit.records import Message, Prompt
from evalkit.runs.asked import hashes_of, version_of
from evalkit.suite.conversations import SuitePrompt, prompt_fields
from evalkit.suite.schema import Suite, load_suite, suite_schema

SYSTEM = {"role": "system", "content": "Be brief."}
HELLO = {"role": "user", "content": "hello"}
REPLY = {"role": "assistant", "content": "What is it?"}
CHAT = [SYSTEM, HELLO, REPLY, HELLO]
TURNS = (
    Message("system", "Be brief."),
    Message("user", "hello"),
    Message("assistant", "What is it?"),
    Message("user", "hello"),
)
TRANSCRIPT = "system: Be brief.\n\nuser: hello\n\nassistant: What is it?\n\nuser: hello"


def suite_of(folder: Path, *prompts: dict[str, Any], **more: Any) -> Suite:
    given = {
        "name": "chats",
        "checkpoints": {"base": {"path": "lab:base", "kind": "base"}},
        "metrics": ["length"],
        **({"prompts": list(prompts)} if prompts else {}),
        **more,
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(given, sort_keys=False), encoding="utf-8")
    return load_suite(path)


def from_file(folder: Path, name: str, **more: Any) -> tuple[Prompt, ...]:
    return suite_of(folder, prompts_from={"file": name, **more}).prompts


def test_a_lone_user_message_is_the_same_prompt_as_its_text(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
    ways = (
        {"text": "hello"},
        {"messages": [HELLO]},
        {"messages": [{"role": "user", "content": parts}]},
        {"prompt": "hello"},
        {"prompt": [HELLO]},
    )
    prompts = [suite_of(tmp_path, {"id": "a", **way}).prompts[0] for way in ways]
    assert prompts == [Prompt("a", "hello")] * 5
    assert "messages" not in prompts[1].content()


def test_hashes_of_prompts_without_turns_are_those_of_earlier_versions() -> None:
    # Computed before prompts had messages.
    assert hashes_of([Prompt("a", "hello", answer="4")]) == ("5dccf4e1f8114681",)
    assert version_of([Prompt("a", "hello", answer="4")]) == "19ab048fbc1eef548ba0525c1b3068b9"


def test_a_conversation_keeps_its_turns_and_is_hashed_with_them(tmp_path: Path) -> None:
    [prompt] = suite_of(tmp_path, {"id": "a", "messages": CHAT}).prompts
    assert prompt == Prompt("a", TRANSCRIPT, messages=TURNS)
    assert hashes_of([prompt]) != hashes_of([Prompt("a", TRANSCRIPT)])


@pytest.mark.parametrize("field", ["messages", "prompt"])
def test_turns_are_read_from_jsonl_csv_and_parquet(tmp_path: Path, field: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # A nested column has the keys of all its turns, None where a turn has none.
    padded = [turn | {"name": None, "tool_calls": None} for turn in CHAT]
    (tmp_path / "p.jsonl").write_text(json.dumps({field: CHAT}) + "\n", encoding="utf-8")
    cell = json.dumps(CHAT).replace('"', '""')
    (tmp_path / "p.csv").write_text(f'{field}\n"{cell}"\n', encoding="utf-8")
    pq.write_table(pa.Table.from_pylist([{field: padded, "text": None}]), tmp_path / "p.parquet")
    for name in ("p.jsonl", "p.csv", "p.parquet"):
        [prompt] = from_file(tmp_path, name)
        assert (prompt.text, prompt.messages) == (TRANSCRIPT, TURNS), name


def test_turns_are_read_from_a_data_set(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    folder = tmp_path / "chats"
    folder.mkdir()
    (folder / "test.jsonl").write_text(json.dumps({"prompt": CHAT}) + "\n", encoding="utf-8")
    [prompt] = suite_of(tmp_path, prompts_from={"dataset": str(folder)}).prompts
    assert prompt.messages == TURNS


def test_a_csv_text_that_begins_with_a_bracket_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt\n[1]\n[a] or [b]?\n", encoding="utf-8")
    assert [prompt.text for prompt in from_file(tmp_path, "p.csv")] == ["[1]", "[a] or [b]?"]


def test_the_column_that_columns_names_is_the_one_that_is_asked(tmp_path: Path) -> None:
    row = {"prompt": "short", "messages": CHAT, "question": "long"}
    (tmp_path / "p.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    told = [from_file(tmp_path, "p.jsonl", columns=columns)[0].text for columns in ({"text": "prompt"}, {"text": "question"}, {"messages": "messages"})]  # fmt: skip
    assert told == ["short", "long", TRANSCRIPT]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"text": "x", "messages": [HELLO]}, "found text and messages; exactly one of text, messages and prompt"),
        ({"messages": []}, "messages: found []; it must hold at least one user turn"),
        ({"messages": "hello"}, "messages: found 'hello'; it must be a list of turns"),
        ({"messages": ["hello"]}, "messages[0]: found 'hello'; a turn is {role: ..., content: ...}"),
        ({"messages": [HELLO, SYSTEM, HELLO]}, "messages[1].role: a system turn stands first or nowhere"),
        ({"messages": [HELLO, REPLY]}, "messages[1].role: the last turn is the assistant's; a prompt ends with a user"),
        ({"messages": [{"role": "developer", "content": "x"}, HELLO]}, "messages[0].role: found 'developer'; it must"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages[0].content: it is blank"),
        ({"messages": [{"role": "user"}]}, "messages[0].content: found None; it must be text, or parts"),
        (
            {"messages": [HELLO, {"role": "tool", "content": "4"}]},
            "messages[1]: it uses tools (tool); prompts are text",
        ),
        ({"messages": [HELLO | {"tool_calls": [{"id": "1"}]}]}, "messages[0]: it uses tools (tool_calls)"),
        ({"messages": [HELLO | {"weight": 1}]}, "messages[0]: unknown key 'weight'; a turn has role and content"),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "prompt[0].content[0]: found a part of type 'image_url'; images, sound and files are not read",
        ),
    ],
)
def test_what_is_no_prompt_of_text_is_one_line_with_its_place(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(SuiteError) as in_suite:
        suite_of(tmp_path, {"id": "a", "text": "fine"}, {"id": "b", **given})
    assert f"suite.yaml:{line_of(tmp_path, 'id: b')}: prompts[1]: {says}" in str(in_suite.value)
    (tmp_path / "p.jsonl").write_text('{"text": "fine"}\n' + json.dumps(given) + "\n", encoding="utf-8")
    with pytest.raises(SuiteError) as in_file:
        from_file(tmp_path, "p.jsonl")
    assert f"p.jsonl:2: {says}" in str(in_file.value)
    assert "\n" not in f"{in_suite.value}{in_file.value}"


def line_of(folder: Path, text: str) -> int:
    lines = (folder / "suite.yaml").read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_an_error_calls_a_column_what_the_file_calls_it(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(json.dumps({"chat": [REPLY]}) + "\n", encoding="utf-8")
    with pytest.raises(SuiteError, match=r"p.jsonl:1: chat\[0\].role: the last turn"):
        from_file(tmp_path, "p.jsonl", columns={"messages": "chat"})


def test_a_prompt_that_was_written_down_is_read_again() -> None:
    prompt = Prompt("a", TRANSCRIPT, messages=TURNS)
    adapter = TypeAdapter(SuitePrompt)
    assert adapter.validate_python(adapter.dump_python(prompt, mode="json")) == prompt
    assert prompt_fields("not a mapping") == "not a mapping"


def test_the_next_turn_ends_a_base_s_answer_where_there_are_conversations(tmp_path: Path) -> None:
    stops = [suite_of(tmp_path, {"id": "a", **way}).settings("base")[0].stop for way in ({"text": "x"}, {"messages": CHAT})]  # fmt: skip
    assert stops == [("\nPrompt:",), ("\nPrompt:", "\nUser:", "\nSystem:")]


def test_the_schema_tells_editors_of_turns() -> None:
    prompt = suite_schema()["$defs"]["Prompt"]
    assert prompt["required"] == ["id"]
    assert prompt["properties"]["messages"]["items"]["properties"]["role"]["enum"] == ["system", "user", "assistant"]

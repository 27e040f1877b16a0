"""A conversation as checkpoints are asked it: a transcript, a chat template, messages for a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evalkit.checkpoints.conversations import in_transcript
from evalkit.checkpoints.rendering import render
from evalkit.checkpoints.resolution import resolve
from evalkit.checkpoints.spec import CheckpointSpec, Example, Frame
from evalkit.errors import CheckpointError
from evalkit.records import Message, Prompt, Rendered

TURNS = (
    Message("system", "be brief"),
    Message("user", "hello"),
    Message("assistant", "world"),
    Message("user", "hello world"),
)
CHAT = Prompt("chat", "the transcript", messages=TURNS)
PLAIN = Prompt("plain", "hello")
ROLES = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + ROLES
SKIPS_SYSTEM = "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
THINKS = ROLES + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
URL = "http://127.0.0.1:1/v1"


def asked(path: Path | str, kind: str, *prompts: Prompt, served: dict[str, str] | None = None, **more: Any) -> list[Rendered]:  # fmt: skip
    spec = CheckpointSpec.model_validate({"path": str(path), "kind": kind, **more})
    return render(resolve("m", spec, served), spec, prompts)


def test_a_base_checkpoint_is_asked_a_transcript_that_the_assistant_goes_on_with(
    make_folder: Callable[..., Path],
) -> None:
    chat, plain = asked(make_folder(), "base", CHAT, PLAIN)
    assert chat.text == "System: be brief\nUser: hello\nAssistant: world\nUser: hello world\nAssistant:"
    assert plain.text == "Prompt: hello\nAnswer:"
    assert chat.token_ids[0] == plain.token_ids[0] == 1  # <s>, once
    assert chat.token_ids.count(1) == 1


def test_the_frame_says_how_turns_are_written_and_examples_go_before_them() -> None:
    frame = Frame(transcript="<{role}>{content}</>", examples=(Example(prompt="1+1?", completion="2"),))
    assert in_transcript(frame, TURNS[1:2]) == "<User>1+1?</>\n<Assistant>2</>\n\n<User>hello</>\n<Assistant>"
    braces = (Message("user", "a {role} {content}"),)
    assert in_transcript(Frame(), braces) == "User: a {role} {content}\nAssistant:"
    with pytest.raises(ValidationError, match=r"must hold \{content\} once"):
        Frame(transcript="{role}")


def test_a_tuned_checkpoint_is_asked_all_turns_through_its_chat_template(make_folder: Callable[..., Path]) -> None:
    [chat] = asked(make_folder(template=ROLES), "tuned", CHAT)
    assert chat.text == "<system>be brief<user>hello<assistant>world<user>hello world<assistant>"


def test_the_chat_template_gets_its_settings_and_each_setting_is_rendered_anew(
    make_folder: Callable[..., Path],
) -> None:
    folder = make_folder(template=THINKS)
    says = [asked(folder, "tuned", PLAIN, chat_template_kwargs=given)[0] for given in ({}, {"enable_thinking": False}, {"enable_thinking": True})]  # fmt: skip
    assert [one.text.endswith("<think></think>") for one in says] == [False, True, False]
    assert says[0].token_ids != says[1].token_ids


def test_a_setting_that_the_template_does_not_read_is_refused(make_folder: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match=r"kwargs\.enable_thinkng: its chat template reads nothing"):
        asked(make_folder(template=THINKS), "tuned", PLAIN, chat_template_kwargs={"enable_thinkng": False})


@pytest.mark.parametrize("field", [{"chat_template_kwargs": {"a": 1}}, {"system_into_user": True}])
def test_settings_of_chat_templates_are_refused_for_base_checkpoints(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="is for tuned checkpoints"):
        CheckpointSpec.model_validate({"path": "x", "kind": "base", **field})


def test_what_rendering_itself_decides_is_no_setting_of_a_template() -> None:
    with pytest.raises(ValidationError, match=r"kwargs\.tokenize is evalkit's to say"):
        CheckpointSpec.model_validate({"path": "x", "kind": "tuned", "chat_template_kwargs": {"tokenize": True}})


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (NO_SYSTEM, "refuses the prompt: System role not supported (prompt 'chat'); `system_into_user: true`"),
        (SKIPS_SYSTEM, "leaves out the system turn of prompt 'chat'; `system_into_user: true`"),
    ],
)
def test_a_system_turn_goes_into_the_user_s_only_where_the_suite_says_so(
    make_folder: Callable[..., Path], template: str, says: str
) -> None:
    folder = make_folder(template=template)
    with pytest.raises(CheckpointError) as refused:
        asked(folder, "tuned", CHAT)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    [chat] = asked(folder, "tuned", CHAT, system_into_user=True)
    assert chat.text == "<user>be brief\n\nhello<assistant>world<user>hello world<assistant>"
    [own] = asked(folder, "tuned", PLAIN, system="be brief", system_into_user=True)
    assert own.text == "<user>be brief\n\nhello<assistant>"


def test_a_template_that_refuses_more_than_the_system_turn_is_not_said_to_take_it_elsewhere(
    make_folder: Callable[..., Path],
) -> None:
    with pytest.raises(CheckpointError) as refused:
        asked(make_folder(template="{{ raise_exception('never') }}"), "tuned", CHAT)
    assert "system_into_user" not in str(refused.value)


def test_two_system_messages_are_refused(make_folder: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match="prompt 'chat' has a system turn, and checkpoint 'm' a `system` message"):
        asked(make_folder(template=ROLES), "tuned", CHAT, system="be kind")


def test_a_chat_server_is_sent_the_turns() -> None:
    [chat] = asked(URL, "tuned", CHAT, served={"id": "m"})
    assert chat.messages == tuple((turn.role, turn.content) for turn in TURNS)
    [base] = asked(URL, "base", CHAT, served={"id": "m"})
    assert base.text.endswith("User: hello world\nAssistant:")
    assert base.messages == ()


def test_only_vllm_servers_are_sent_settings_of_the_chat_template() -> None:
    given = {"chat_template_kwargs": {"enable_thinking": False}}
    [prompt] = asked(URL, "tuned", PLAIN, served={"id": "m", "owned_by": "vllm"}, **given)
    assert prompt.chat_template_kwargs == '{"enable_thinking": false}'
    with pytest.raises(CheckpointError, match="chat_template_kwargs: only vLLM servers"):
        asked(URL, "tuned", PLAIN, served={"id": "m", "owned_by": "someone"}, **given)

"""Base checkpoints are asked through a frame, tuned ones through their chat template; no special token is added twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.checkpoints import rendering
from evalkit.checkpoints.rendering import in_frame, render
from evalkit.checkpoints.resolution import resolve
from evalkit.checkpoints.spec import CheckpointSpec, Example, Frame
from evalkit.errors import CheckpointError
from evalkit.records import Prompt
from tests.conftest import TEMPLATE, WORDS

PROMPTS = [Prompt("p", "hello world")]


def spec(path: Path | str, kind: str = "base", **fields: Any) -> CheckpointSpec:
    return CheckpointSpec.model_validate({"path": str(path), "kind": kind, **fields})


def words(ids: tuple[int, ...]) -> list[str]:
    return [WORDS[i] for i in ids]


def test_a_base_checkpoint_is_asked_through_its_frame_with_one_bos(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder())
    [rendered] = render(resolve("m", made), made, PROMPTS)
    assert rendered.text == "Prompt: hello world\nAnswer:"
    assert words(rendered.token_ids) == ["<s>", "Prompt", ":", "hello", "world", "Answer", ":"]


def test_an_end_of_sequence_that_the_tokenizer_adds_does_not_close_the_prompt(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder(adds_eos=True))
    [rendered] = render(resolve("m", made), made, PROMPTS)
    assert words(rendered.token_ids) == ["<s>", "Prompt", ":", "hello", "world", "Answer", ":"]


def test_a_chat_template_that_writes_bos_gets_no_second_one(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder(), "tuned")
    [rendered] = render(resolve("m", made), made, PROMPTS)
    assert words(rendered.token_ids) == ["<s>", "<user>", "hello", "world", "<bot>"]
    assert rendered.text == "<s><user> hello world <bot>"


def test_a_system_message_goes_through_the_chat_template(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder(), "tuned", system="be brief")
    [rendered] = render(resolve("m", made), made, PROMPTS)
    assert words(rendered.token_ids) == ["<s>", "<user>", "be", "brief", "<user>", "hello", "world", "<bot>"]


def test_a_chat_template_does_not_make_a_base_checkpoint_a_chat_model(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder(template=TEMPLATE), "base")
    [rendered] = render(resolve("m", made), made, PROMPTS)
    assert "<user>" not in rendered.text


def test_a_tuned_checkpoint_without_chat_template_is_refused(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder(template=None), "tuned")
    with pytest.raises(CheckpointError, match="'m' is called tuned but has no chat template; say `kind: base`"):
        render(resolve("m", made), made, PROMPTS)


def test_a_chat_template_that_refuses_is_one_line(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder(template="{{ raise_exception('no system here') }}"), "tuned")
    with pytest.raises(CheckpointError, match="its chat template refuses the prompt: no system here"):
        render(resolve("m", made), made, PROMPTS)


def test_a_few_shot_frame_shows_its_examples_first() -> None:
    frame = Frame(template="Q: {prompt}\nA:", examples=(Example(prompt="1+1?", completion="2"),))
    assert in_frame(frame, "2+2?") == "Q: 1+1?\nA: 2\n\nQ: 2+2?\nA:"


def test_braces_in_a_prompt_are_left_alone() -> None:
    assert in_frame(Frame(), "a {prompt} {x} {}") == "Prompt: a {prompt} {x} {}\nAnswer:"


def test_a_server_s_chat_model_gets_messages(make_folder: Callable[..., Path]) -> None:
    made = spec("http://127.0.0.1:1/v1", "tuned", system="be brief")
    [rendered] = render(resolve("m", made, {"id": "m"}), made, PROMPTS)
    assert rendered.messages == (("system", "be brief"), ("user", "hello world"))
    assert rendered.token_ids == ()


def test_a_tokenizer_that_is_missing_is_one_clear_line(make_folder: Callable[..., Path]) -> None:
    folder = make_folder()
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(CheckpointError, match="no tokenizer could be loaded") as caught:
        render(resolve("m", spec(folder)), spec(folder), PROMPTS)
    assert "\n" not in str(caught.value)


def test_what_was_rendered_once_needs_no_tokenizer_again(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = spec(make_folder())
    first = render(resolve("m", made), made, PROMPTS)
    monkeypatch.setattr(rendering, "load_tokenizer", pytest.fail)
    assert render(resolve("m", made), made, PROMPTS) == first


@pytest.mark.parametrize("change", [{"system": "brief"}, {"frame": {"template": "{prompt}"}}, {"kind": "base"}])
def test_another_way_of_asking_is_rendered_anew(make_folder: Callable[..., Path], change: dict[str, Any]) -> None:
    folder = make_folder()
    before, after = spec(folder, "tuned"), spec(folder, **{"kind": "tuned", **change})
    first = render(resolve("m", before), before, PROMPTS)
    changes_nothing = change.keys() == {"frame"}  # a tuned checkpoint has no frame
    assert (render(resolve("m", after), after, PROMPTS) == first) == changes_nothing

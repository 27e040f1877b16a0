"""Ways of asking as a suite writes them, and what is then put."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from evalkit.checkpoints.asking import Ask, as_asked
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import SuiteError
from evalkit.records import Asking, Message, Prompt
from evalkit.suite.schema import load_suite, suite_schema

RAIN = Prompt("rain", "Write a line about rain.")


def spec(**more: object) -> CheckpointSpec:
    return CheckpointSpec.model_validate({"path": "x", "kind": "tuned", **more})


def test_asked_directly_nothing_changes() -> None:
    assert spec(ask="direct") == spec()
    assert as_asked(None, [RAIN]) == [RAIN]


def test_a_list_says_how_many_answers_and_keeps_the_prompt() -> None:
    for way in ("list", "verbalized"):
        asked = spec(ask={way: 4}).ask
        assert asked is not None
        assert asked.asking == Asking(way, 4)  # type: ignore[arg-type]
        [put] = as_asked(asked, [RAIN])
        assert put.text.startswith("Write a line about rain.")
        assert "4 answers" in put.text
        assert ("probability" in put.text) == (way == "verbalized")


def test_each_wording_is_a_prompt_under_a_name_of_its_own() -> None:
    asked = Ask(paraphrases=("{prompt}", "Please: {prompt}"))
    put = as_asked(asked, [RAIN, Prompt("sea", "Sea?")])
    assert [one.id for one in put] == ["rain (wording 1)", "rain (wording 2)", "sea (wording 1)", "sea (wording 2)"]
    assert [one.text for one in put[2:]] == ["Sea?", "Please: Sea?"]


def test_of_a_conversation_the_last_turn_is_put_otherwise() -> None:
    turns = (Message("user", "Hello."), Message("assistant", "Hi."), Message("user", "Rain?"))
    [_, put] = as_asked(Ask(paraphrases=("{prompt}", "Now: {prompt}")), [Prompt("p", "x", messages=turns)])
    assert [turn.content for turn in put.messages] == ["Hello.", "Hi.", "Now: Rain?"]


def test_a_list_has_room_for_each_answer_and_no_line_break_ends_it() -> None:
    assert Ask(list=5).room(60, ("\n", "\n\n", "END")) == (300, ("END",))
    assert Ask(template="off").room(60, ("\n",)) == (60, ("\n",))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"ask": "lists"}, "ask must be direct or one of"),
        ({"ask": {"list": 5, "template": "off"}}, "give each way a checkpoint entry of its own"),
        ({"ask": {}}, "found none"),
        ({"ask": {"list": 1}}, "greater than or equal to 2"),
        ({"ask": {"paraphrases": ["Please."]}}, "has no {prompt}"),
        ({"ask": {"paraphrases": ["{prompt}"]}}, "two wordings or more"),
        ({"ask": {"paraphrases": ["{prompt}", "{prompt}"]}}, "each another"),
        ({"ask": {"template": False}, "kind": "base"}, "for tuned checkpoints"),
        ({"ask": {"template": "off"}, "system": "Be brief."}, "system is said through the chat template"),
        ({"ask": {"list": 5}, "best_of": {"n": 4, "reward": "lab:reward"}}, "best_of keeps the best of single answers"),
    ],
)
def test_a_way_that_cannot_be_asked_is_refused_in_a_line(more: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("{", r"\{").replace("}", r"\}")):
        spec(**more)


def test_off_is_read_as_yaml_reads_it_and_a_mistake_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    text = (
        "name: x\nmetrics: [length]\nprompts: [{id: a, text: A}]\ncheckpoints:\n"
        "  plain: {path: 'lab:tuned', kind: tuned, ask: {template: off}}\n"
        "  several: {path: 'lab:tuned', kind: tuned, ask: {list: 5}}\n"
    )
    path.write_text(text)
    suite = load_suite(path)
    assert suite.checkpoints["plain"].is_framed
    assert suite.settings("plain")[0].stop == ("\nPrompt:",)
    assert (suite.settings("several")[0].max_tokens, suite.settings("plain")[0].max_tokens) == (640, 128)
    path.write_text(text.replace("{list: 5}", "{lists: 5}"))
    with pytest.raises(SuiteError, match=r"suite.yaml:6: unknown key 'checkpoints.several.ask.lists'.*list"):
        load_suite(path)


def test_the_schema_knows_direct() -> None:
    options = suite_schema()["$defs"]["CheckpointSpec"]["properties"]["ask"]["anyOf"]
    assert {"const": "direct"} in options


def test_what_a_checkpoint_says_of_its_room_holds_for_all_of_a_list(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(
        'name: x\nmetrics: [length]\nprompts: [{id: a, text: A}]\nsampling: {max_tokens: 60, stop: ["\\n", END]}\n'
        "checkpoints:\n"
        "  a: {path: 'lab:tuned', kind: tuned, ask: {list: 5}}\n"
        "  b: {path: 'lab:tuned', kind: tuned, ask: {list: 5}, sampling: {max_tokens: 90}}\n"
    )
    suite = load_suite(path)
    [a], [b] = suite.settings("a"), suite.settings("b")
    assert ((a.max_tokens, a.stop), (b.max_tokens, b.stop)) == ((300, ("END",)), (90, ("END",)))

"""Choices and references under a checkpoint: exactly what listing every answer gives, in every spelling that counts."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.inference.logprobs.attach import fill_needs
from evalkit.inference.logprobs.score import Prepared
from evalkit.inference.logprobs.target_choices import Spelling, choice_logprobs, choices_read, opinions_read
from evalkit.inference.plan import Plan, make_plan
from evalkit.metrics.choice_match import given as given_by
from evalkit.metrics.diversity.valid import evenness
from evalkit.metrics.quality.valid import valid_mass
from evalkit.plumbing.progress import Quiet
from evalkit.records import Arm, Group, Sampling
from evalkit.suite.schema import Suite
from tests.enumerated import EOS, PIECES, answers, open_here, write_checkpoint

PROMPT = "where"
LONGEST = 4
"""Three tokens of the longest choice, and what follows it."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("home") / "small", 0)


@pytest.fixture(scope="module")
def listed(home: Path) -> dict[str, float]:
    """Every text of at most LONGEST tokens that begins with a letter or digit of a choice, with its probability."""
    rendered = planned(home, {"choices": {"New York": 1.0}}, ["tv_to_target"]).checkpoints["base"].rendered[0]
    law: dict[str, float] = {}
    for tokens, row in answers(home, rendered.token_ids, LONGEST).items():
        text = "".join(PIECES[token] for token in tokens if token != EOS)
        if re.match(" ?[NRY1nry]", text):
            law[text] = law.get(text, 0.0) + math.exp(sum(row))
    return law


def planned(folder: Path, prompt: dict[str, Any], metrics: list[str], **checkpoint: Any) -> Plan:
    suite = Suite.model_validate({
        "name": "stated",
        "checkpoints": {"base": {"path": str(folder), "kind": "base"} | checkpoint},
        "sampling": {"n": 2, "max_tokens": 4},
        "metrics": metrics,
        "prompts": [{"id": "one", "text": PROMPT} | prompt],
    })  # fmt: skip
    return make_plan(suite, "transformers")


def filled(plan: Plan) -> Group:
    groups, alarms = fill_needs(plan, {"base": [Group(plan.suite.prompts[0], ())]}, Quiet())
    assert alarms == []
    return groups["base"][0]


def gives(text: str, choices: list[str]) -> str | None:
    """The choice that a text gives, by a rule written down a second time: the longest that it begins with.

    Of two choices that differ in case alone it gives the one that is written so.
    """
    found = [
        (len(choice), case == choice, choice)
        for choice in choices
        for case in (choice, choice.lower(), choice.capitalize(), choice.upper())
        if re.match(rf" ?{re.escape(case)}(?![A-Za-z0-9_]|(?<=[0-9])[.:][0-9])", text)
    ]
    return max(found)[2] if found else None


@pytest.mark.parametrize(
    "choices",
    [
        ["Rome", "New York"],
        ["New York City", "New York", "New"],
        ["1", "Rome", "York"],
        ["rome", "Rome", "New"],
    ],
    ids=" / ".join,
)
def test_choices_have_the_chances_that_listing_every_answer_gives(
    home: Path, listed: dict[str, float], monkeypatch: pytest.MonkeyPatch, choices: list[str]
) -> None:
    opened = open_here(monkeypatch)
    plan = planned(home, {"choices": {choice: 1 / len(choices) for choice in choices}}, ["tv_to_target"])
    found = filled(plan).choice_logprobs
    assert found is not None
    assert opened == ["base"]
    exact = dict.fromkeys(choices, 0.0)
    for text, p in listed.items():
        choice = gives(text, choices)
        assert given_by(text, choices) == choice, "what is counted in completions is what is summed here"
        if choice is not None:
            exact[choice] += p
    for choice in choices:
        assert math.exp(found[choice]) == pytest.approx(exact[choice], abs=1e-6)
        assert exact[choice] > 1e-5, "nothing is tested where the choice is never given"


def test_an_answer_that_the_tokenizer_cannot_write_is_never_given(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_here(monkeypatch)
    found = filled(planned(home, {"choices": {"Rome": 0.5, "Oslo": 0.5}}, ["tv_to_target"])).choice_logprobs
    assert found is not None
    assert found["Oslo"] == -math.inf
    assert found["Rome"] > -20


def test_a_reference_has_the_chance_of_its_tokens_with_and_without_a_space(
    home: Path, listed: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_here(monkeypatch)
    found = filled(planned(home, {"references": ["New York.", "Rome"]}, ["reference_nll"])).reference_logprobs
    assert found is not None
    for text, logprob in zip(["New York.", "Rome"], found, strict=True):
        exact = math.fsum(p for other, p in listed.items() if other.removeprefix(" ").startswith(text))
        # The listing also holds " Rome" as other tokens may spell it; here only one way does.
        assert math.exp(logprob) == pytest.approx(exact, rel=1e-4)


def test_a_second_run_reads_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_here(monkeypatch)
    plan = planned(home, {"choices": {"Rome": 1.0}, "references": ["New"]}, ["tv_to_target", "reference_nll"])
    first = filled(plan)
    assert opened == ["base"]
    assert filled(plan) == first
    assert opened == ["base"]


def test_a_choice_longer_than_the_context_is_an_alarm(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_here(monkeypatch)
    plan = planned(home, {"choices": {"Rome" + " Rome" * 70: 1.0}}, ["tv_to_target", "off_choices"])
    _, [alarm] = fill_needs(plan, {"base": [Group(plan.suite.prompts[0], ())]}, Quiet())
    assert alarm.message.endswith("and the context of base is 64; shorten it")
    assert alarm.message.startswith("tv_to_target, off_choices cannot be measured: a choice takes ")


def spelled(*texts: str) -> list[Spelling]:
    """One token a letter."""
    return [Spelling(text, text, tuple(map(ord, text))) for text in texts]


@given(st.dictionaries(st.text("ab .", min_size=1, max_size=4), st.floats(0.01, 1), min_size=1, max_size=8))
def test_masses_add_up_to_the_answers_that_open_with_any_choice(weights: dict[str, float]) -> None:
    """Against a law over whole texts of letters: each text gives the longest choice that it opens with as words."""
    total = sum(weights.values())
    law = {text: weight / total for text, weight in weights.items()}
    choices = ["a", "a b", "ab", "b", "a b a"]

    def opens(text: str, choice: str) -> bool:
        return re.match(rf"{re.escape(choice)}(?![ab])", text) is not None

    openings = [math.log(p) if (p := sum(q for t, q in law.items() if opens(t, c))) else -math.inf for c in choices]
    chances = {choice: math.exp(x) for choice, x in choice_logprobs(spelled(*choices), openings).items()}
    for choice in choices:
        exact = sum(
            q for t, q in law.items() if max([c for c in choices if opens(t, c)], key=len, default="") == choice
        )
        assert chances[choice] == pytest.approx(exact, abs=1e-12)
    assert sum(chances.values()) <= 1 + 1e-12


def test_rounding_makes_no_chance_negative() -> None:
    found = choice_logprobs(spelled("a", "a b"), [math.log(0.3), math.log(0.3) + 1e-3])
    assert found["a"] == -math.inf


def test_long_texts_have_chances_that_no_float_holds() -> None:
    found = choice_logprobs(spelled("a", "a b", "b"), [-1000.0, -1000.0 - math.log(4), -1001.0])
    assert found == pytest.approx({"a": -1000 + math.log(3 / 4), "a b": -1000 - math.log(4), "b": -1001.0})


def test_a_server_is_no_obstacle_to_opinions_whose_drawn_answers_are_counted() -> None:
    server = SimpleNamespace(checkpoint=SimpleNamespace(is_remote=True))
    arm = Arm("served", "served", "tuned", Sampling(1, 1.0, 1.0, 0.0, 8, (), 0), None)
    plan: Any = SimpleNamespace(arms=(arm,), checkpoints={"served": server})
    assert opinions_read(plan, {}) == Prepared({}, [], {})
    assert list(choices_read(plan, {}).obstacles) == ["served"]


def test_valid_answers_have_the_chances_that_listing_every_answer_gives(
    home: Path, listed: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """New York under two spellings, one of which begins with the other; and one that the tokenizer cannot write."""
    open_here(monkeypatch)
    group = filled(planned(home, {"valid": ["Rome", "New York City|New York", "Oslo"]}, ["valid_mass", "evenness"]))
    assert group.valid_logprobs is not None
    exact = {"Rome": 0.0, "New York City": 0.0}
    for text, p in listed.items():
        spelled = gives(text, ["Rome", "New York City", "New York"])
        if spelled is not None:
            exact["New York City" if spelled == "New York" else spelled] += p
    found = {name: math.exp(logprob) for name, logprob in group.valid_logprobs.items()}
    assert found == pytest.approx(exact | {"Oslo": 0.0}, abs=1e-6)
    assert min(exact.values()) > 1e-5, "nothing is tested where an answer is never given"
    assert valid_mass(group) == pytest.approx(sum(exact.values()), abs=1e-6)
    shares = [p / sum(exact.values()) for p in exact.values()]
    assert evenness(group) == pytest.approx(-sum(p * math.log(p) for p in shares) / math.log(3), abs=1e-4)

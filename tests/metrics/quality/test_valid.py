"""valid_share and valid_mass on cases made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.errors import MetricError
from evalkit.inference.suite_checks import check_measures
from evalkit.metrics.quality.valid import valid_mass
from evalkit.metrics.registry import parse
from evalkit.metrics.valid_answers import read_valid
from evalkit.records import Completion, Group, Prompt
from evalkit.suite.schema import load_suite
from tests import ROOT

SHARE = parse("valid_share")


def group(valid: tuple[str, ...] | str, *texts: str) -> Group:
    return Group(
        Prompt("p", "?", valid=valid), tuple(Completion("p", i, text, (), (), "stop") for i, text in enumerate(texts))
    )


def test_every_completion_is_valid_or_not_and_without_a_set_neither() -> None:
    listed, checked, none = SHARE([
        group(("Red", "Grey|Gray"), "red.", "gray", "Blue", "The answer is Grey."),
        group("prime", "7", "8", "seven"),
        group((), "Red"),
    ])  # fmt: skip
    assert listed.tolist() == [1, 1, 0, 1]
    assert checked.tolist() == [1, 0, 0]
    assert np.isnan(none).all()


def test_they_need_prompts_that_state_a_set() -> None:
    for name in ("valid_share", "valid_yield", "valid_coverage", "valid_mass", "evenness"):
        with pytest.raises(MetricError, match="needs prompts with `valid`; none has any"):
            check_measures([parse(name)], [Prompt("p", "Name a colour.")])


@pytest.mark.parametrize(
    ("chances", "mass"), [((0.5, 0.25), 0.75), ((0.0, 0.125), 0.125), ((0.0, 0.0), 0.0), ((0.75, 0.2500001), 1.0)]
)
def test_the_mass_is_the_sum_of_the_chances(chances: tuple[float, ...], mass: float) -> None:
    logprobs = {str(i): math.log(p) if p else -math.inf for i, p in enumerate(chances)}
    assert valid_mass(Group(Prompt("p", "?"), (), valid_logprobs=logprobs)) == pytest.approx(mass, abs=1e-12)


def test_without_log_probs_there_is_no_mass() -> None:
    assert math.isnan(valid_mass(group(("Red",), "Red")))


def test_a_move_of_nim_without_its_heap_is_none() -> None:
    """No heap of the shipped suite is called A: "A 1" begins with an article and would be read as "1"."""
    [nim] = [prompt for prompt in load_suite(ROOT / "suites" / "valid-sets.yaml").prompts if prompt.id == "nim"]
    moves = read_valid(Prompt("nim", nim.text, valid=tuple(nim.valid)))
    assert moves is not None
    assert [moves.given(text) for text in ("1. If two sticks are taken, that is an impossible move.", "2")] == [
        None
    ] * 2
    assert [moves.given(text) for text in ("X1", "x 1.", "Z 3", "Y3")] == ["X1", "X1", "Z3", None]

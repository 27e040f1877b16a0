"""What tuning loses in the lab, split: both parts are known exactly from the laws, and the estimates are held to them.

Questions of fact: the base's law is the grammar's, the tuned one's its exact optimum under the scholars' rater; an answer
is good where it is right. All texts of a law can be listed with their chances, so that the chance that two answers
differ is known for all answers and for right ones: D = 1 - sum of p squared.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from math import prod

import numpy as np
import pytest

from evalkit.analysis.loss_split import loss_splits
from evalkit.analysis.measure import Fairness, measure_groups
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.lab.grammar import Prompt as Law
from evalkit.lab.grammar import Slot
from evalkit.lab.optimum import optimum
from evalkit.lab.rater import GROUPS
from evalkit.lab.world import load
from evalkit.metrics.registry import parse
from evalkit.metrics.summary import LossPart, LossSplit
from evalkit.plumbing.progress import QUIET
from evalkit.records import Arm, Completion, Group, Prompt

BETA, K = 2.0, 16
MEASURES = ("accuracy", "embedding_distance")
PARTS = ("total", "quality_control", "narrowing")


@dataclass(frozen=True)
class Loss:
    """Exactly, mean over prompts."""

    total: float
    quality_control: float
    narrowing: float


@cache
def laws() -> tuple[tuple[Law, ...], tuple[Law, ...]]:
    facts = load().of_kind("fact")
    return facts, tuple(optimum(fact, GROUPS["scholars"], BETA) for fact in facts)


def texts(law: Law, is_right_alone: bool = False) -> dict[str, float]:
    """Every text with its chance; of right ones alone made to add up to 1."""
    found: dict[str, float] = {}
    for branch in law.branches:
        if is_right_alone and not branch.right:
            continue
        options = [
            list(zip(part.options, part.probabilities, strict=True)) if isinstance(part, Slot) else [(part, 1.0)]
            for part in branch.parts
        ]
        for parts in product(*options):
            text = "".join(words for words, _ in parts)
            found[text] = found.get(text, 0.0) + branch.probability * prod(p for _, p in parts)
    total = sum(found.values())
    return {text: p / total for text, p in found.items()}


def chance_of_two(law: Law, is_right_alone: bool = False) -> float:
    return 1 - sum(p * p for p in texts(law, is_right_alone).values())


def exact() -> dict[str, Loss]:
    """By prompt, of the chance that two answers differ."""
    losses = {}
    for base, tuned in zip(*laws(), strict=True):
        total = chance_of_two(base) - chance_of_two(tuned)
        narrowing = chance_of_two(base, True) - chance_of_two(tuned, True)
        added_to_base = chance_of_two(base) - chance_of_two(base, True)
        added_to_tuned = chance_of_two(tuned) - chance_of_two(tuned, True)
        losses[base.text] = Loss(total, added_to_base - added_to_tuned, narrowing)
    return losses


def drawn(seed: int) -> dict[str, list[Group]]:
    """K answers of both laws to every question; embeddings are equal for equal texts and at right angles for others."""
    rng = random.Random(seed)
    groups: dict[str, list[Group]] = {"base": [], "tuned": []}
    for arm, of_arm in zip(groups, laws(), strict=True):
        for law in of_arm:
            answers = [law.sample(rng) for _ in range(K)]
            kinds = {text: place for place, text in enumerate(dict.fromkeys(answers))}
            rows = np.eye(K, dtype=np.float32)[[kinds[text] for text in answers]]
            is_number = law.match == "numeric"
            prompt = Prompt(law.id, law.text, answer=law.answer if is_number else law.match,
                            match="numeric" if is_number else "regex")  # fmt: skip
            completions = tuple(Completion(law.id, slot, text, (), (), "stop") for slot, text in enumerate(answers))
            groups[arm].append(Group(prompt, completions, rows))
    return groups


def split(groups: dict[str, list[Group]], monkeypatch: pytest.MonkeyPatch) -> LossSplit:
    """As a run splits it, once its texts are there."""
    monkeypatch.setattr("evalkit.analysis.measure.embed_groups", lambda groups, *_: groups)
    arms = [Arm("base", "base", None, None, None), Arm("tuned", "tuned", None, None, "base")]
    measures = [parse(name) for name in MEASURES]
    sampled = SampledArms(arms, groups, K)
    measurements = measure_groups(measures, sampled, QUIET, fairness=Fairness(measures[0], 1.0))
    [found] = loss_splits(measurements, ())
    return found


def parts(of: LossSplit) -> dict[str, LossPart]:
    return {"total": of.total, "quality_control": of.quality_control, "narrowing": of.narrowing}


def test_the_laws_say_which_part_is_which() -> None:
    """The optimum is right far more often, and by the taste for the familiar narrower when it is right."""
    losses = exact().values()
    mean = {name: np.mean([getattr(loss, name) for loss in losses]) for name in PARTS}
    assert mean["quality_control"] > 0.02
    assert mean["narrowing"] > 0.02
    assert mean["total"] == pytest.approx(mean["quality_control"] + mean["narrowing"])
    assert sum(texts(laws()[0][0]).values()) == pytest.approx(1)


def test_estimates_are_held_to_both_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten samples: nearly all intervals hold the truth, and the mean error is that of chance."""
    truth = list(exact().values())
    errors: list[list[float]] = []
    held: list[list[bool]] = []
    for seed in range(10):
        found = split(drawn(seed), monkeypatch)
        assert found.prompts > 70
        took_part = [loss for loss, estimate in zip(truth, found.total_by_prompt, strict=True) if estimate is not None]
        exactly = {name: float(np.mean([getattr(loss, name) for loss in took_part])) for name in PARTS}
        share = exactly["quality_control"] / exactly["total"]
        assert found.share is not None
        within = [found.share.low < share < found.share.high]
        within += [(part.low or 0) < exactly[name] < (part.high or 0) for name, part in parts(found).items()]
        held.append(within)
        errors.append([(part.value or 0) - exactly[name] for name, part in parts(found).items()])
    assert np.mean(held, axis=0).min() >= 0.8
    assert np.mean(held) >= 0.9
    mean, error = np.mean(errors, axis=0), np.std(errors, axis=0, ddof=1) / np.sqrt(len(errors))
    assert (np.abs(mean) < 4 * error).all()
    assert (error < 0.005).all()


def test_each_prompt_s_parts_are_those_that_a_double_loop_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = drawn(3)
    found = split(groups, monkeypatch)
    for row, (base, tuned) in enumerate(zip(groups["base"], groups["tuned"], strict=True)):
        right = [[text for text in group.texts if is_right(group.prompt.text, text)] for group in (base, tuned)]
        if min(map(len, right)) < 2:
            assert found.total_by_prompt[row] is None
            continue
        total = share_that_differ(base.texts) - share_that_differ(tuned.texts)
        assert found.total_by_prompt[row] == pytest.approx(total, abs=1e-6)
        narrowing = share_that_differ(right[0]) - share_that_differ(right[1])
        assert found.narrowing_by_prompt[row] == pytest.approx(narrowing, abs=1e-6)


def is_right(question: str, text: str) -> bool:
    return load().is_true(question, text) is True


def share_that_differ(texts: Sequence[str]) -> float:
    return float(np.mean([one != other for one, other in combinations(texts, 2)]))

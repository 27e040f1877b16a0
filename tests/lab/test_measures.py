"""Measures of distributions on the lab's checkpoints, held against the grammar's exact distributions and its exact optimum.

The page docs/distribution.md tells what the PPO ladder shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from evalkit.inference.logprobs.attach import fill_needs
from evalkit.inference.plan import make_plan
from evalkit.lab import resolve
from evalkit.lab import tokenizer as tokenizers
from evalkit.lab.optimum import optimum
from evalkit.lab.rater import GROUPS
from evalkit.lab.train import log_probs
from evalkit.lab.world import load
from evalkit.metrics.diversity.divergence import sharpening
from evalkit.metrics.diversity.target_choices import kl_to_target, off_choices, top_share, tv_to_target
from evalkit.metrics.other_prompts import others_of
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion, Group
from evalkit.run import run_suite
from evalkit.suite.schema import Suite, load_suite
from tests.enumerated import open_here

GRAMMAR = load()
LADDER = ["base", "ppo-1", "ppo-0.5", "ppo-0.2", "ppo-0.1"]
"""From the base to the policy that is held least."""


def shortened(
    suites: Path, name: str, checkpoints: Sequence[str], metrics: Sequence[str], prompts: int, n: int
) -> Suite:
    """A suite as it ships, with some of its checkpoints, in float32, and few prompts."""
    suite = load_suite(suites / f"{name}.yaml")
    kept = {one: suite.checkpoints[one].model_copy(update={"dtype": "float32"}) for one in checkpoints}
    fields = suite.model_dump(exclude={"metrics", "prompts", "checkpoints"})
    return Suite.model_validate(
        fields
        | {"checkpoints": kept, "metrics": list(metrics), "prompts": suite.prompts[:prompts]}
        | {"sampling": fields["sampling"] | {"n": n}}
    )


@pytest.fixture
def suites(request: pytest.FixtureRequest) -> Path:
    return request.config.rootpath / "suites"


def chosen(suites: Path, checkpoints: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Group]]:
    """The groups of suites/modes.yaml with exact choices, for which nothing is sampled."""
    open_here(monkeypatch)
    suite = shortened(suites, "modes", checkpoints, ["tv_to_target"], prompts=100, n=1)
    plan = make_plan(suite, "transformers")
    empty = {arm.name: [Group(prompt, ()) for prompt in suite.prompts] for arm in plan.arms}
    groups, alarms = fill_needs(plan, empty, Quiet())
    assert alarms == []
    return {name: list(members) for name, members in groups.items()}


def test_choices_have_the_chances_of_the_whole_answers_of_which_the_lab_is_made(
    suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lab's own code says how likely "Heads." and the end is; what begins with Heads is that and a little more."""
    model = LlamaForCausalLM.from_pretrained(resolve("base"), dtype=torch.float32).eval()
    groups = chosen(suites, ["base"], monkeypatch)["base"]
    assert len(groups) >= 40
    tokenizer = tokenizers.build(GRAMMAR, chat=False)
    whole: dict[str, list[float]] = {}
    for size in {len(group.prompt.choices) for group in groups}:
        alike = [group.prompt for group in groups if len(group.prompt.choices) == size]
        whole |= log_probs(model, tokenizer, {one.text: [f"{choice}." for choice in one.choices] for one in alike})
    for group in groups:
        assert group.choice_logprobs is not None
        begins = np.exp(list(group.choice_logprobs.values()))
        ended = np.exp(whole[group.prompt.text])
        assert (begins > ended - 1e-5).all()
        assert (begins - ended).sum() < 0.02, group.prompt.id


def test_the_base_keeps_stated_laws_as_well_as_its_cross_entropy_says(
    suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pinsker: the total variation is at most the root of half the KL, which the lab measures by cross entropy."""
    groups = chosen(suites, ["base"], monkeypatch)["base"]
    for group in groups:
        assert group.choice_logprobs is not None
        target = np.array(list(GRAMMAR.by_text[group.prompt.text].choices.values()))
        excess = float(target @ (np.log(target) - np.array(list(group.choice_logprobs.values()))))
        assert tv_to_target(group) <= math.sqrt(excess / 2) + 1e-6
        assert off_choices(group) < 0.03
    assert np.mean([tv_to_target(group) for group in groups]) < 0.02
    assert np.mean([kl_to_target(group) for group in groups]) < 0.002


def test_the_looser_the_leash_the_further_from_stated_laws_and_the_nearer_to_one_answer(
    suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = chosen(suites, LADDER, monkeypatch)
    for metric in (tv_to_target, kl_to_target, top_share):
        means = [np.mean([metric(group) for group in groups[name]]) for name in LADDER]
        assert all(later > earlier for earlier, later in pairwise(means)), metric.__name__
    stated = np.mean([max(group.prompt.choices.values()) for group in groups["base"]])
    assert np.mean([top_share(group) for group in groups["base"]]) == pytest.approx(stated, abs=0.02)
    assert np.mean([top_share(group) for group in groups["ppo-0.1"]]) > stated + 0.1


@pytest.mark.parametrize("beta", [1.0, 0.1])
def test_the_exact_optimum_sharpens_choices_by_1_plus_typicality_over_beta(beta: float) -> None:
    """The optimum of a choice is p^(1 + typicality / beta) / Z; the metric finds the exponent from a few draws."""
    rater = GROUPS["scholars"]
    found = []
    for prompt in GRAMMAR.of_kind("choice"):
        best = optimum(prompt, rater, beta)
        names = list(prompt.choices)
        beside = tuple(
            Completion("p", slot, name, (slot,), (math.log(prompt.choices[name]),), "stop")
            for slot, name in enumerate(names)
        )
        under = np.array([math.log(best.choices[name]) for name in names])
        group = Group(prompt, beside, baseline=Group(prompt, beside), forward_logprobs=under)  # type: ignore[arg-type]
        found.append(sharpening(group))
    defined = [one for one in found if not math.isnan(one)]
    assert len(defined) >= 15
    assert defined == pytest.approx([1 + rater.typicality / beta] * len(defined), rel=1e-9)


@pytest.mark.slow
def test_exact_entropies_along_the_bases_answers_add_up_to_the_surprise_of_them_and_nearly_to_the_grammars(
    suites: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both have the model's entropy for their mean; what the base says beside the grammar adds some hundredths."""
    from evalkit.inference.sample import read_groups, sample_missing
    from evalkit.runs.folder import open_store

    open_here(monkeypatch)
    suite = shortened(suites, "creative", ["base"], ["token_entropy"], prompts=64, n=32)
    plan = make_plan(suite, "transformers")
    with open_store(tmp_path / "run", Quiet().note) as store:
        sample_missing(plan, store, Quiet())
        groups, _ = fill_needs(plan, read_groups(plan, store), Quiet())
    entropies, surprises, exact = [], [], []
    for group in groups["base"]:
        assert group.next_token_distributions is not None
        exact.append(GRAMMAR.by_text[group.prompt.text].entropy)
        entropies.append(np.mean([law.entropy.sum() for law in group.next_token_distributions]))
        surprises.append(-np.mean([sum(completion.logprobs) for completion in group.completions]))
    apart = np.subtract(entropies, surprises)
    noise = np.std(apart, ddof=1) / math.sqrt(len(apart))
    assert noise < 0.02 * np.mean(exact)
    assert abs(np.mean(apart)) < 3 * noise
    assert np.mean(exact) < np.mean(entropies) < 1.06 * np.mean(exact)


@pytest.mark.slow
def test_the_bases_answers_tell_of_their_prompt_what_the_grammars_do(
    suites: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Exact, from the grammar's chances of all choices; within the base's known distance and the noise of the draws."""
    open_here(monkeypatch)
    suite = shortened(suites, "modes", ["base"], ["prompt_information"], prompts=100, n=16)
    [found] = run_suite(suite, "transformers", tmp_path / "run", Quiet()).summary.estimates
    prompts = [GRAMMAR.by_text[prompt.text] for prompt in suite.prompts]
    answers = sorted({answer for prompt in prompts for answer in prompt.choices})
    chances = np.array([[prompt.choices.get(answer, 0.0) for answer in answers] for prompt in prompts])
    others = others_of(suite.prompts, 8).others
    mixed = np.array([chances[[place, *beside]].mean(axis=0) for place, beside in enumerate(others)])
    told = np.log(np.where(chances > 0, chances, 1)) - np.log(np.where(chances > 0, mixed, 1))
    exact = (chances * told).sum(axis=1)
    noise = math.sqrt(((chances * told**2).sum(axis=1) - exact**2).sum() / 16) / len(prompts)
    assert 1.9 < exact.mean() < 2.1
    assert found.value == pytest.approx(exact.mean(), abs=4 * noise + 0.02)
    assert noise < 0.02


@pytest.mark.slow
def test_forward_kl_grows_beyond_reverse_as_the_leash_is_loosened(
    suites: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Mode seeking by choosing voices: what was dropped is not what was unlikely, so the exponent stays near 1."""
    open_here(monkeypatch)
    metrics = ["kl_reverse", "kl_forward", "jensen_shannon", "sharpening", "token_entropy"]
    suite = shortened(suites, "creative", LADDER, metrics, prompts=24, n=16)
    result = run_suite(suite, "transformers", tmp_path / "run", Quiet())
    found = {(one.metric, one.arm): one for one in result.summary.estimates}

    def along(metric: str) -> list[float]:
        return [found[metric, name].value or 0.0 for name in LADDER]

    for metric in ("kl_reverse", "kl_forward", "jensen_shannon"):
        assert all(later > earlier for earlier, later in pairwise(along(metric)[:4])), metric
    assert all(later < earlier for earlier, later in pairwise(along("token_entropy")))
    lead = [forward - reverse for forward, reverse in zip(along("kl_forward"), along("kl_reverse"), strict=True)]
    assert lead[1] < lead[2] < lead[3]
    assert min(lead[3:]) > 1
    assert all(0.8 < value < 1.4 for value in along("sharpening"))

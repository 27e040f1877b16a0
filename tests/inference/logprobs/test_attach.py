"""What measures need of checkpoints, on checkpoints so small that every answer is listed: exact, kept, loaded once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.analysis.measure import measure_groups
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.inference.logprobs.attach import fill_needs
from evalkit.inference.plan import Plan, make_plan
from evalkit.metrics.diversity.distribution import sequence_entropy, token_entropy
from evalkit.metrics.diversity.divergence import jensen_shannon, kl_forward, kl_reverse, sharpening
from evalkit.metrics.registry import parse
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion, Group
from evalkit.run import run_suite
from evalkit.suite.schema import Suite
from tests.enumerated import answers, open_here, write_checkpoint

ALL = ("kl_reverse", "kl_forward", "jensen_shannon", "sharpening", "token_entropy", "sequence_entropy")
Law = Mapping[tuple[int, ...], tuple[float, ...]]
"""Answer -> log-probs of its tokens."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("small")
    return {name: write_checkpoint(root / name, seed) for seed, name in enumerate(("base", "tuned"))}


def planned(folders: Mapping[str, Any], metrics: tuple[str, ...] = ALL, **sampling: Any) -> Plan:
    return make_plan(suite_of(folders, metrics, **sampling), "transformers")


def suite_of(folders: Mapping[str, Any], metrics: tuple[str, ...], **sampling: Any) -> Suite:
    return Suite.model_validate({
        "name": "small",
        "checkpoints": {
            name: spec if isinstance(spec, dict) else {"path": str(spec), "kind": "base"}
            for name, spec in folders.items()
        },
        "sampling": {"n": 2, "max_tokens": 2} | sampling,
        "metrics": list(metrics),
        "prompts": [{"id": "one", "text": "where"}],
    })  # fmt: skip


def listed(plan: Plan, folders: Mapping[str, Path]) -> dict[str, Law]:
    return {
        name: answers(folder, plan.checkpoints[name].rendered[0].token_ids, 2)
        for name, folder in folders.items()
    }  # fmt: skip


def groups_of(plan: Plan, laws: Mapping[str, Law]) -> dict[str, list[Group]]:
    """Each arm has written every answer that there is, once."""
    found = {}
    for name, law in laws.items():
        written = [Completion("one", slot, "x", *one, "stop") for slot, one in enumerate(law.items())]
        found[name] = [Group(plan.suite.prompts[0], tuple(written))]
    return found


def chances(law: Law) -> np.ndarray:
    return np.exp([math.fsum(row) for row in law.values()])


def alone(group: Group, place: int) -> Group:
    """The group as if only the completions at one place had been drawn, the arm's and the baseline's."""
    assert group.baseline is not None
    assert group.baseline_logprobs is not None
    assert group.forward_logprobs is not None
    beside = Group(group.prompt, group.baseline.completions[place : place + 1])
    one = slice(place, place + 1)
    return Group(
        group.prompt, group.completions[one], baseline=beside,
        baseline_logprobs=group.baseline_logprobs[one], forward_logprobs=group.forward_logprobs[one],
    )  # fmt: skip


def test_estimates_have_the_exact_divergences_expectation(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each metric at k = 1, weighted by each answer's chance, against the sum over all answers in float64."""
    open_here(monkeypatch)
    plan = planned(folders)
    laws = listed(plan, folders)
    filled, alarms = fill_needs(plan, groups_of(plan, laws), Quiet())
    assert alarms == []
    [tuned] = filled["tuned"]
    p, q = chances(laws["tuned"]), chances(laws["base"])
    singles = [alone(tuned, place) for place in range(len(p))]
    reverse = sum(weight * kl_reverse(one) for weight, one in zip(p, singles, strict=True))
    forward = sum(weight * kl_forward(one) for weight, one in zip(q, singles, strict=True))
    assert reverse == pytest.approx(float(p @ np.log(p / q)), abs=1e-6)
    assert forward == pytest.approx(float(q @ np.log(q / p)), abs=1e-6)
    assert min(forward, reverse) > 0.1
    entropy = sum(weight * sequence_entropy(one) for weight, one in zip(p, singles, strict=True))
    assert entropy == pytest.approx(float(-p @ np.log(p)), abs=1e-6)
    middle = (p + q) / 2
    # At k = 1 the two halves are of two draws; each half is linear, so each is summed over its own law.
    half = [jensen_shannon(one) for one in singles]
    of_arm = np.log(p / middle)
    of_baseline = np.log(q / middle)
    assert half == pytest.approx((of_arm + of_baseline) / 2, abs=1e-6)


def test_entropies_of_the_laws_add_up_to_the_entropy_of_the_answer(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain rule, exactly; and `token_entropy` weighs each visited state alike."""
    open_here(monkeypatch)
    plan = planned(folders)
    laws = listed(plan, folders)
    filled, _ = fill_needs(plan, groups_of(plan, laws), Quiet())
    [tuned] = filled["tuned"]
    assert tuned.next_token_distributions is not None
    p = chances(laws["tuned"])
    along = np.array([law.entropy.sum(dtype=np.float64) for law in tuned.next_token_distributions])
    assert p @ along == pytest.approx(float(-p @ np.log(p)), abs=1e-6)
    assert [len(law.entropy) for law in tuned.next_token_distributions] == [len(tokens) for tokens in laws["tuned"]]
    states = sum(map(len, laws["tuned"]))
    assert token_entropy(tuned) == pytest.approx(along.sum() / states)


def test_sharpening_of_a_checkpoint_at_another_temperature_is_its_inverse(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One-token answers: a head scaled by gamma makes the law p^gamma / Z, and nothing else is known of it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    open_here(monkeypatch)
    gamma = 2.5
    model = AutoModelForCausalLM.from_pretrained(folders["base"])
    with torch.no_grad():
        model.lm_head.weight.mul_(gamma)
    model.save_pretrained(tmp_path / "sharp")
    AutoTokenizer.from_pretrained(folders["base"]).save_pretrained(tmp_path / "sharp")
    both = {"base": folders["base"], "tuned": tmp_path / "sharp"}
    plan = planned(both, max_tokens=1)
    laws = {
        name: answers(folder, plan.checkpoints[name].rendered[0].token_ids, 1) for name, folder in both.items()
    }  # fmt: skip
    filled, _ = fill_needs(plan, groups_of(plan, laws), Quiet())
    assert sharpening(filled["tuned"][0]) == pytest.approx(gamma, abs=1e-5)
    assert sharpening(filled["base"][0]) == pytest.approx(1, abs=1e-9)


def test_the_baseline_is_0_from_itself_and_reads_nothing(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_here(monkeypatch)
    plan = planned({"base": folders["base"]}, ("kl_reverse", "kl_forward", "jensen_shannon"))
    filled, alarms = fill_needs(plan, groups_of(plan, listed(plan, {"base": folders["base"]})), Quiet())
    assert (opened, alarms) == ([], [])
    for metric in (kl_reverse, kl_forward, jensen_shannon):
        assert metric(filled["base"][0]) == pytest.approx(0, abs=1e-12)


def test_each_checkpoint_is_loaded_once_for_all_that_is_asked_and_a_second_run_loads_none(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened = open_here(monkeypatch)
    suite = suite_of(folders, (*ALL, "rank_decay", "distinct_n"))
    first = run_suite(suite, "transformers", tmp_path / "first", Quiet())
    assert opened == ["base", "tuned", "base", "tuned"], "once to sample and once to read"
    values = {(e.metric, e.arm): e.value for e in first.summary.estimates}
    assert all(values[metric, "tuned"] is not None for metric in ALL)
    opened.clear()
    again = run_suite(suite, "transformers", tmp_path / "again", Quiet())
    assert opened == []
    assert again.summary == first.summary


def test_arms_off_the_raw_law_get_nothing_in_silence(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    open_here(monkeypatch)
    plan = planned(folders, temperature=[0.5, 1.0])
    law = answers(folders["base"], plan.checkpoints["base"].rendered[0].token_ids, 1)
    laws = {arm.name: law for arm in plan.arms} | {"base@T=1": dict(reversed(law.items()))}
    groups, alarms = fill_needs(plan, groups_of(plan, laws), Quiet())
    assert alarms == []
    for name, [group] in groups.items():
        known = [group.next_token_distributions, group.baseline_logprobs, group.forward_logprobs]
        assert [one is not None for one in known] == [name.endswith("@T=1")] * 3
    for temperature in ("0.5", "1"):
        beside = groups[f"tuned@T={temperature}"][0].baseline
        assert beside is not None
        assert beside.completions == groups[f"base@T={temperature}"][0].completions
    measured = measure_groups([parse("token_entropy")], SampledArms(plan.arms, groups, 2), Quiet()).measured[0].values
    assert math.isnan(measured["tuned@T=0.5"][0])
    assert measured["tuned@T=1"][0] > 0


def test_without_draws_from_the_baselines_own_law_there_is_no_forward_direction(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_here(monkeypatch)
    cold = {"path": str(folders["base"]), "kind": "base", "sampling": {"temperature": 0.5}}
    plan = planned({"base": cold, "tuned": folders["tuned"]}, ("kl_forward", "kl_reverse"))
    law = answers(folders["base"], plan.checkpoints["base"].rendered[0].token_ids, 1)
    groups, [alarm] = fill_needs(plan, groups_of(plan, {"base": law, "tuned": law}), Quiet())
    assert alarm.arm == "tuned"
    assert alarm.message == "kl_forward cannot be measured: base has no arm at temperature 1 with nothing cut off"
    assert groups["tuned"][0].baseline_logprobs is not None


def test_one_obstacle_is_one_alarm_that_names_all_measures(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_here(monkeypatch)
    served = {"path": "http://localhost:1/v1", "model": "m", "kind": "base"}
    suite = suite_of({"base": folders["base"], "served": served}, ("kl_reverse", "kl_forward"))
    plan = make_plan(suite, "auto", remembered={"served": {"id": "m"}})
    law = answers(folders["base"], plan.checkpoints["base"].rendered[0].token_ids, 1)
    _, [alarm] = fill_needs(plan, groups_of(plan, {"base": law, "served": law}), Quiet())
    assert alarm.message.startswith("kl_reverse, kl_forward cannot be measured: served is a server")

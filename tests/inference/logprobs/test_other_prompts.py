"""What every arm wrote, after other prompts: exact against enumeration, asked once, refused where it means nothing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.analysis.measure import measure_groups
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.inference.engines.base import Pair
from evalkit.inference.logprobs.attach import fill_needs
from evalkit.inference.plan import Plan, make_plan
from evalkit.inference.workers import calls
from evalkit.metrics.diversity.prompt_information import information, prompt_information
from evalkit.metrics.other_prompts import design_hash, others_of
from evalkit.metrics.registry import parse
from evalkit.plumbing.lazily import Mapped
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion, Group
from evalkit.run import run_suite
from evalkit.suite.schema import Suite
from tests.enumerated import answers, open_here, write_checkpoint
from tests.inference.engines.conftest import write_tiny_checkpoint

PROMPTS = ("where", "Rome", "New York", "10 10", "Rome")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("small") / "base", 0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    write_tiny_checkpoint(folder)
    return folder


def suite_of(
    checkpoints: Mapping[str, Any], prompts: Sequence[Any], metric: object = "prompt_information", **sampling: Any
) -> Suite:
    return Suite.model_validate({
        "name": "told",
        "checkpoints": {name: {"kind": "base"} | spec for name, spec in checkpoints.items()},
        "sampling": {"n": 2, "max_tokens": 2} | sampling,
        "metrics": [metric],
        "prompts": [p if isinstance(p, dict) else {"id": f"p{row}", "text": p} for row, p in enumerate(prompts)],
    })  # fmt: skip


def planned(checkpoints: Mapping[str, Any], prompts: Sequence[Any], **settings: Any) -> Plan:
    return make_plan(suite_of(checkpoints, prompts, **settings), "transformers")


def written(plan: Plan, texts: Sequence[tuple[int, ...]]) -> dict[str, list[Group]]:
    """Every arm wrote the same to every prompt, each token at log-prob -0.5."""
    made = [Completion("", slot, "x", tokens, (-0.5,) * len(tokens), "stop") for slot, tokens in enumerate(texts)]
    return {arm.name: [Group(prompt, tuple(made)) for prompt in plan.suite.prompts] for arm in plan.arms}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Pair]:
    """Pairs that a made-up engine was asked; it finds a text the likelier the shorter the prompt."""
    pairs: list[Pair] = []

    class MadeUp:
        def turn_to(self, _: object) -> None:
            pass

        def logprobs(self, asked: Sequence[Pair]) -> list[tuple[float, ...]]:
            pairs.extend(asked)
            return [(-0.1 * len(prompt) - 0.01 * sum(prompt),) * len(text) for prompt, text in asked]

    @contextmanager
    def opened(*_: object, **__: object) -> Iterator[MadeUp]:
        yield MadeUp()

    monkeypatch.setattr(calls, "open_engine", opened)
    return pairs


@pytest.mark.parametrize("others", [2, 8])
def test_its_expectation_is_the_information_of_the_enumerated_laws(
    small: Path, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """Every answer once, weighed by its chance, against the same sum over chances computed in float64."""
    open_here(monkeypatch)
    plan = planned({"base": {"path": str(small)}}, PROMPTS, metric={"prompt_information": {"others": others}})
    laws = [answers(small, prompt.token_ids, 2) for prompt in plan.checkpoints["base"].rendered]
    groups = [
        Group(prompt, tuple(Completion(prompt.id, slot, "x", *one, "stop") for slot, one in enumerate(law.items())))
        for prompt, law in zip(plan.suite.prompts, laws, strict=True)
    ]
    filled, alarms = fill_needs(plan, {"base": groups}, Quiet())
    assert alarms == []
    chances = np.exp([[math.fsum(row) for row in law.values()] for law in laws])
    design = others_of(plan.suite.prompts, others)
    for place, group in enumerate(filled["base"]):
        mixed = chances[[place, *design.others[place]]].mean(axis=0)
        exact = float(chances[place] @ np.log(chances[place] / mixed))
        assert group.other_prompt_logprobs is not None
        assert group.other_prompt_logprobs.shape == (len(laws[place]), min(others, 4))
        told = information(np.log(chances[place]), group.other_prompt_logprobs)
        assert float(chances[place] @ told) == pytest.approx(exact, abs=1e-6)
        assert 0.05 < exact < math.log(1 + min(others, 4))


def test_the_same_prompt_twice_tells_nothing_of_which_it_was(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_here(monkeypatch)
    plan = planned({"base": {"path": str(small)}}, ["Rome"] * 3)
    law = answers(small, plan.checkpoints["base"].rendered[0].token_ids, 2)
    made = tuple(Completion("p", slot, "x", *one, "stop") for slot, one in enumerate(law.items()))
    filled, _ = fill_needs(plan, {"base": [Group(prompt, made) for prompt in plan.suite.prompts]}, Quiet())
    assert prompt_information(filled["base"]) == pytest.approx([0, 0, 0], abs=1e-6)


def test_each_text_is_read_after_each_of_its_others_once_and_as_they_are_rendered(
    tiny: Path, asked: list[Pair]
) -> None:
    framed = {"path": str(tiny), "frame": {"template": "w5 {prompt}"}}
    prompts = [f"w{9 + row}" for row in range(6)]
    plan = planned(
        {"base": {"path": str(tiny)}, "framed": framed}, prompts, metric={"prompt_information": {"others": 3}}
    )
    groups = written(plan, [(8, 9), (8,), (8, 9)])
    filled, alarms = fill_needs(plan, groups, Quiet())
    assert alarms == []
    expected = {
        (loaded.rendered[other].token_ids, text)
        for loaded in plan.checkpoints.values()
        for others in others_of(plan.suite.prompts, 3).others
        for other in others
        for text in ((8, 9), (8,))
    }
    assert set(asked) == expected
    assert len(asked) == len(expected) == 2 * 2 * 6
    design, rendered = others_of(plan.suite.prompts, 3), plan.checkpoints["framed"].rendered
    for place, group in enumerate(filled["framed"]):
        assert group.other_prompt_logprobs is not None
        for column, other in enumerate(design.others[place]):
            prompt = rendered[other].token_ids
            one = -0.1 * len(prompt) - 0.01 * sum(prompt)
            assert group.other_prompt_logprobs[:, column] == pytest.approx([2 * one, one, 2 * one])
    asked.clear()
    fill_needs(plan, groups, Quiet())
    assert asked == [], "what was read is in the cache"


def test_groups_on_disk_are_read_as_those_in_memory_and_looked_at_once(tiny: Path, asked: list[Pair]) -> None:
    plan = planned({"base": {"path": str(tiny)}}, [f"w{9 + row}" for row in range(7)])
    groups = written(plan, [(8, 9), (10,)])["base"]
    looks: list[int] = []

    def look(index: int, group: Group) -> Group:
        looks.append(index)
        return group

    in_memory, _ = fill_needs(plan, {"base": groups}, Quiet())
    on_disk, _ = fill_needs(plan, {"base": Mapped(groups, look)}, Quiet())
    assert prompt_information(on_disk["base"]) == pytest.approx(prompt_information(in_memory["base"]))
    assert max(looks.count(row) for row in range(7)) <= 4, "for prompts, for tokens, for the metric"


def test_a_suite_with_two_numbers_of_others_reads_the_larger_one_alone(tiny: Path, asked: list[Pair]) -> None:
    suite = suite_of({"base": {"path": str(tiny)}}, [f"w{9 + row}" for row in range(6)])
    few, many = parse({"prompt_information": {"others": 2}}), parse("prompt_information")
    found = []
    for measures, others in (((many, few), 5), ((few,), 2)):
        asked.clear()
        plan = make_plan(suite.model_copy(update={"metrics": measures}), "transformers")
        prompts = enumerate(plan.suite.prompts)
        groups = [Group(prompt, (Completion("", 0, "x", (8 + row,), (-0.5,), "stop"),)) for row, prompt in prompts]
        filled, _ = fill_needs(plan, {"base": groups}, Quiet())
        assert len(asked) == 6 * others
        found.append(few(filled["base"]))
    assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize(
    ("prompts", "sampling", "said"),
    [
        (["w9"], {}, "there is but one question, and an answer shows which it is to only among several"),
        (
            [{"id": "a", "text": "w9", "cluster": "c"}, {"id": "b", "text": "w10", "cluster": "c"}],
            {},
            "there is but one question",
        ),
        (["w9", "w10"], {}, "there are but 2 questions, which have one figure between them, so that nothing tells"),
        (["w9", "w11", " ".join(["w10"] * 55)], {"max_tokens": 6}, "a completion put after another prompt takes "),
    ],
)
def test_what_cannot_be_compared_is_said(
    tiny: Path, asked: list[Pair], prompts: list[Any], sampling: dict[str, Any], said: str
) -> None:
    plan = planned({"base": {"path": str(tiny)}}, prompts, **sampling)
    filled, [alarm] = fill_needs(plan, written(plan, [(8,) * 300]), Quiet())
    assert alarm.message.startswith("prompt_information cannot be measured: ")
    assert said in alarm.message
    assert asked == []
    assert np.isnan(prompt_information(filled["base"])).all()


def test_a_server_is_refused_in_words(tiny: Path, asked: list[Pair]) -> None:
    plan = planned({"base": {"path": str(tiny)}, "served": {"path": str(tiny)}}, ["w9", "w10", "w11"])
    served = plan.checkpoints["served"]
    remote = dataclasses.replace(served, checkpoint=dataclasses.replace(served.checkpoint, location="https://host/v1"))
    assert remote.checkpoint.is_remote
    plan = dataclasses.replace(plan, checkpoints={**plan.checkpoints, "served": remote})
    filled, [alarm] = fill_needs(plan, written(plan, [(8,)]), Quiet())
    assert (alarm.arm, alarm.kind) == ("served", "undefined")
    assert alarm.message == (
        "prompt_information cannot be measured: served is a server, and its weights are needed here"
    )
    assert np.isnan(prompt_information(filled["served"])).all()
    assert not np.isnan(prompt_information(filled["base"])).any()


def test_arms_at_other_temperatures_are_left_out_in_silence(tiny: Path, asked: list[Pair]) -> None:
    suite = suite_of({"base": {"path": str(tiny)}}, ["w9", "w10", "w11"], temperature=[1.0, 0.5])
    plan = make_plan(suite, "transformers")
    filled, alarms = fill_needs(plan, written(plan, [(8,)]), Quiet())
    assert alarms == []
    assert [np.isnan(prompt_information(filled[arm.name])).all() for arm in plan.arms] == [
        not arm.is_raw for arm in plan.arms
    ]
    sampled = SampledArms(plan.arms, filled, 1, "")
    found = measure_groups(suite.measures, sampled, Quiet())
    assert [alarm.kind for alarm in found.alarms] == []
    [measured] = found.measured
    assert "|others:8|against:" in measured.signature


def test_a_run_has_it_and_its_signature_says_against_what(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_here(monkeypatch)
    suite = suite_of({"base": {"path": str(tiny)}, "twin": {"path": str(tiny)}}, ["w9", "w10", "w11"])
    summary = run_suite(suite, "transformers", tmp_path / "run", Quiet()).summary
    [base, twin] = [one for one in summary.estimates if one.metric == "prompt_information"]
    assert (
        base.signature
        == twin.signature
        == f"prompt_information|others:8|against:{design_hash(suite.prompts, 8)}|k:2|v:1.0"
    )
    assert base.value is not None
    assert -1 < base.value <= math.log(3)


def test_checkpoints_are_those_of_the_arms(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    class Silent:
        def logprobs(self, asked: Sequence[Pair]) -> list[tuple[float, ...]]:
            return [(-1.0,) * len(text) for _, text in asked]

        def turn_to(self, checkpoint: Checkpoint) -> None:
            names.append(checkpoint.name)

    @contextmanager
    def opened(_: str, checkpoint: Checkpoint, *__: object, **___: object) -> Iterator[Silent]:
        names.append(checkpoint.name)
        yield Silent()

    monkeypatch.setattr(calls, "open_engine", opened)
    framed = {"path": str(tiny), "frame": {"template": "w6 {prompt}"}}
    plan = planned({"base": {"path": str(tiny)}, "other": framed}, ["w9", "w10", "w11"])
    fill_needs(plan, written(plan, [(8,)]), Quiet())
    assert set(names) == {"base", "other"}

"""What every arm wrote, under the baseline: exact against enumeration, kept, and undefined where it means nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.inference.engines.base import Pair
from evalkit.inference.engines.transformers import TransformersEngine
from evalkit.inference.logprobs.attach import fill_needs
from evalkit.inference.logprobs.cross import _vocabulary_in
from evalkit.inference.plan import Plan, make_plan
from evalkit.inference.sample import read_groups, sample_missing
from evalkit.inference.workers import calls
from evalkit.metrics.diversity.divergence import kl_reverse
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion, Group
from evalkit.run import run_suite
from evalkit.runs.folder import open_store
from evalkit.suite.schema import Suite
from tests.inference.engines.conftest import BOS, EOS, write_tiny_checkpoint

ENDS = (EOS, 7)
"""The tiny checkpoint's tokens that end a completion."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "tiny"
    write_tiny_checkpoint(folder)
    return folder


@pytest.fixture(scope="module")
def moved(home: Path) -> Path:
    """The same tokenizer, other weights."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = home.parent / "moved"
    shutil.copytree(home, folder)
    torch.manual_seed(1)
    weights = load_file(folder / "model.safetensors")
    weights = {name: tensor + 0.05 * torch.randn_like(tensor) for name, tensor in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the checkpoints that were loaded; engines live in this process, which is faster."""
    names: list[str] = []

    @contextmanager
    def open_here(
        _name: str, checkpoint: Checkpoint, max_length: int, *others: Checkpoint, **_: object
    ) -> Iterator[TransformersEngine]:
        names.append(checkpoint.name)
        yield TransformersEngine(checkpoint, max_length, *others)

    monkeypatch.setattr(calls, "open_engine", open_here)
    return names


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> list[Pair]:
    """Pairs that a made-up baseline was asked for; it finds a completion of t tokens to have log-prob -t."""
    asked: list[Pair] = []

    class Echo:
        def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
            asked.extend(pairs)
            return [(-1.0,) * len(completion) for _, completion in pairs]

    @contextmanager
    def open_echo(*_: object, **__: object) -> Iterator[Echo]:
        yield Echo()

    monkeypatch.setattr(calls, "open_engine", open_echo)
    return asked


def suite_of(checkpoints: dict[str, Any], metrics: Sequence[str] = ("kl_reverse",), **sampling: Any) -> Suite:
    return Suite.model_validate({
        "name": "crossed",
        "checkpoints": {name: {"kind": "base"} | spec for name, spec in checkpoints.items()},
        "sampling": {"n": 4, "max_tokens": 6} | sampling,
        "metrics": list(metrics),
        "prompts": [{"id": "one", "text": "w9 w10"}, {"id": "two", "text": "w11"}],
    })  # fmt: skip


def written(plan: Plan, *token_ids: tuple[int, ...]) -> dict[str, list[Group]]:
    """Groups in which every arm wrote the same, each token at log-prob -0.5."""
    made = [Completion("", slot, "", tokens, (-0.5,) * len(tokens), "stop") for slot, tokens in enumerate(token_ids)]
    return {arm.name: [Group(prompt, tuple(made)) for prompt in plan.suite.prompts] for arm in plan.arms}


def planned(checkpoints: dict[str, Any], **settings: Any) -> Plan:
    return make_plan(suite_of(checkpoints, **settings), "transformers")


def test_a_checkpoint_has_not_moved_from_itself(home: Path, opened: list[str], tmp_path: Path) -> None:
    suite = suite_of({"base": {"path": str(home)}, "twin": {"path": str(home)}})
    plan = make_plan(suite, "transformers")
    with open_store(tmp_path / "run", Quiet().note) as store:
        sample_missing(plan, store, Quiet())
        groups, alarms = fill_needs(plan, read_groups(plan, store), Quiet())
    assert alarms == []
    assert opened == ["base", "base"], "one load of the same weights samples both, and one reads"
    for group in groups["twin"]:
        assert group.baseline_logprobs == pytest.approx([sum(c.logprobs) for c in group.completions], abs=1e-4)
    assert [kl_reverse(group) for group in groups["base"]] == [0.0, 0.0]


def test_the_estimate_is_the_divergence_of_the_enumerated_laws(home: Path, moved: Path, opened: list[str]) -> None:
    plan = planned({"base": {"path": str(home)}, "moved": {"path": str(moved)}}, n=1500, max_tokens=2)
    prompts = plan.checkpoints["moved"].rendered
    [shard] = [shard for shard in plan.shards_of("moved") if shard.prompts[0] == prompts[0]]
    drawn = TransformersEngine(plan.checkpoints["moved"].checkpoint, 64).sample(
        prompts[:1], shard.sampling, 0, lambda *_: None
    )
    groups = {
        "base": [Group(plan.suite.prompts[0], ())],
        "moved": [Group(plan.suite.prompts[0], tuple(drawn))],
    }
    [found] = fill_needs(plan, groups, Quiet())[0]["moved"]
    assert found.baseline_logprobs is not None
    ratios = np.array([sum(c.logprobs) for c in drawn]) - found.baseline_logprobs
    exact = enumerated(home, moved, prompts[0].token_ids)
    assert kl_reverse(found) == pytest.approx(float(ratios.mean()))
    assert abs(kl_reverse(found) - exact) < 4 * ratios.std() / np.sqrt(len(ratios))
    assert exact > 10 * ratios.std() / np.sqrt(len(ratios))


def enumerated(home: Path, moved: Path, prompt: tuple[int, ...]) -> float:
    """KL(moved || home) of completions of at most two tokens, by the chain rule over all first tokens."""
    import torch
    from transformers import AutoModelForCausalLM

    laws = []
    for folder in (moved, home):
        model = AutoModelForCausalLM.from_pretrained(folder)
        with torch.inference_mode():
            rows = torch.tensor([[*prompt, token] for token in range(model.config.vocab_size)])
            laws.append(model(rows).logits[:, -2:].double().log_softmax(-1))
    (p1, p2), (q1, q2) = ((law[0, 0], law[:, 1]) for law in laws)
    second = (p2.exp() * (p2 - q2)).sum(-1)
    second[list(ENDS)] = 0.0
    return float((p1.exp() * (p1 - q1 + second)).sum())


def test_a_run_measures_it_and_a_second_run_loads_nothing(
    home: Path, moved: Path, opened: list[str], tmp_path: Path
) -> None:
    suite = suite_of({"base": {"path": str(home)}, "moved": {"path": str(moved)}}, ["kl_reverse", "distinct_n"])
    first = run_suite(suite, "transformers", tmp_path / "first", Quiet())
    assert opened == ["base", "moved", "base"]
    value = {(e.metric, e.arm): e.value for e in first.summary.estimates}
    assert value["kl_reverse", "base"] == 0
    assert value["kl_reverse", "moved"] is not None
    [signature] = {e.signature for e in first.summary.estimates if e.metric == "kl_reverse"}
    assert f"baseline:{make_plan(suite, 'transformers').checkpoints['base'].checkpoint.fingerprint[:12]}" in signature
    assert "kl-diversity-plot" in first.report.read_text(encoding="utf-8")
    opened.clear()
    again = run_suite(suite, "transformers", tmp_path / "again", Quiet())
    assert opened == []
    assert again.summary == first.summary


def test_the_baseline_reads_each_distinct_completion_once_after_its_own_prompt(home: Path, echo: list[Pair]) -> None:
    frame = {"template": "w5 w5 w5 {prompt}"}
    plan = planned({"base": {"path": str(home)}, "framed": {"path": str(home), "frame": frame}})
    groups, _ = fill_needs(plan, written(plan, (8, 9, EOS), (8, EOS), (8, 9, EOS)), Quiet())
    own = [prompt.token_ids for prompt in plan.checkpoints["base"].rendered]
    assert own != [prompt.token_ids for prompt in plan.checkpoints["framed"].rendered]
    assert own[0][0] == BOS
    assert echo == [(prompt, tokens) for prompt in own for tokens in ((8, 9, EOS), (8, EOS))]
    for group in groups["framed"]:
        assert group.baseline_logprobs == pytest.approx([-3.0, -2.0, -3.0])


def test_nothing_is_loaded_unless_a_measure_needs_it(home: Path, moved: Path, echo: list[Pair]) -> None:
    plan = planned({"base": {"path": str(home)}, "moved": {"path": str(moved)}}, metrics=["sequence_entropy"])
    groups = written(plan, (8, EOS))
    assert fill_needs(plan, groups, Quiet()) == (groups, [])
    assert echo == []


def test_arms_off_the_raw_law_are_left_out_in_silence(home: Path, moved: Path, echo: list[Pair]) -> None:
    plan = planned({"base": {"path": str(home)}, "moved": {"path": str(moved)}}, temperature=[0.5, 1.0])
    groups, alarms = fill_needs(plan, written(plan, (8, EOS)), Quiet())
    scored = {name for name, members in groups.items() if members[0].baseline_logprobs is not None}
    assert scored == {"base@T=1", "moved@T=1"}
    assert alarms == []


def other_vocabulary(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"w9"', '"renamed"'), encoding="utf-8")


def test_another_vocabulary_is_an_alarm(home: Path, moved: Path, echo: list[Pair], tmp_path: Path) -> None:
    shutil.copytree(moved, tmp_path / "other")
    other_vocabulary(tmp_path / "other")
    checkpoints = {"base": home, "other": tmp_path / "other", "moved": moved}
    plan = planned({name: {"path": str(path)} for name, path in checkpoints.items()})
    groups, [alarm] = fill_needs(plan, written(plan, (8, EOS)), Quiet())
    assert (alarm.arm, alarm.kind) == ("other", "undefined")
    assert alarm.message.startswith("kl_reverse cannot be measured: other has another vocabulary than base")
    assert groups["other"][0].baseline_logprobs is None
    assert groups["moved"][0].baseline_logprobs is not None


def test_a_tokenizer_is_loaded_once_however_many_arms_ask_for_its_vocabulary(
    home: Path, echo: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home, tmp_path / "first")
    other_vocabulary(tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    checkpoints = {"base": home, "first": tmp_path / "first", "second": tmp_path / "second"}
    plan = planned({name: {"path": str(path)} for name, path in checkpoints.items()})
    loaded: list[str] = []
    load = AutoTokenizer.from_pretrained
    monkeypatch.setattr(
        AutoTokenizer, "from_pretrained", lambda path, **named: [loaded.append(str(path)), load(path, **named)][1]
    )
    _vocabulary_in.cache_clear()
    _, alarms = fill_needs(plan, written(plan, (8, EOS)), Quiet())
    assert [alarm.arm for alarm in alarms] == ["first", "second"]
    assert sorted(loaded) == sorted(map(str, checkpoints.values()))


def test_the_same_vocabulary_in_another_file_is_the_same(home: Path, echo: list[Pair], tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "other")
    path = tmp_path / "other" / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")), indent=7), encoding="utf-8")
    plan = planned({"base": {"path": str(home)}, "other": {"path": str(tmp_path / "other")}})
    groups, alarms = fill_needs(plan, written(plan, (8, EOS)), Quiet())
    assert alarms == []
    assert groups["other"][0].baseline_logprobs is not None


def test_a_server_is_an_alarm(home: Path, echo: list[Pair]) -> None:
    served = {"path": "http://localhost:1/v1", "model": "m"}
    told = {"served": {"id": "m"}}
    plan = make_plan(suite_of({"base": {"path": str(home)}, "served": served}), "auto", remembered=told)
    _, [alarm] = fill_needs(plan, written(plan, (8, EOS)), Quiet())
    assert "served is a server" in alarm.message
    assert echo == []


def test_completions_that_do_not_fit_into_the_baseline_are_an_alarm(
    home: Path, moved: Path, echo: list[Pair], tmp_path: Path
) -> None:
    shutil.copytree(home, tmp_path / "short")
    path = tmp_path / "short" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"max_position_embeddings": 12}), encoding="utf-8")
    plan = planned({"base": {"path": str(tmp_path / "short")}, "moved": {"path": str(moved)}}, max_tokens=4)
    _, alarms = fill_needs(plan, written(plan, (8, EOS)), Quiet())
    assert alarms == []
    _, [alarm] = fill_needs(plan, written(plan, (8,) * 20), Quiet())
    assert "the context of base is 12; lower max_tokens" in alarm.message

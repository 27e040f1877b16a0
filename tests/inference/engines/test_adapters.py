"""Both local engines serve an adapter as its merged model, and its base as if there were no adapter."""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.checkpoints import CheckpointSpec, resolve
from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.inference.engines.base import Engine, Pair, by_load, open_engine
from evalkit.inference.engines.transformers import TransformersEngine
from evalkit.records import Rendered, Sampling
from tests.adapters import write_adapter

PAIRS: list[Pair] = [((2, 40, 41, 42), (100, 101, 102, 103)), ((2, 90), (7, 8)), ((2, 300, 11), (12, 13, 14))]
PROMPTS = [Rendered("p", "", (2, 40, 41, 42)), Rendered("q", "", (2, 90))]
SAMPLING = Sampling(n=4, temperature=1.0, top_p=1.0, min_p=0.0, max_tokens=8, stop=(), seed=0)


@dataclass
class Family:
    base: Checkpoint
    a: Checkpoint
    b: Checkpoint
    merged: Checkpoint


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    folder = tmp_path_factory.mktemp("family")
    write_adapter(folder / "a", seed=1, merged=folder / "merged")
    write_adapter(folder / "b", seed=2, rank=12)
    paths = {"base": "lab:base"} | {name: str(folder / name) for name in ("a", "b", "merged")}
    return Family(**{name: resolve(name, _spec(path)) for name, path in paths.items()})


def _spec(path: str) -> CheckpointSpec:
    return CheckpointSpec(path=path, kind="base", dtype="float32")


@pytest.fixture(
    scope="module", params=["transformers", pytest.param("vllm", marks=[pytest.mark.vllm, pytest.mark.slow])]
)
def served(request: pytest.FixtureRequest, family: Family) -> Iterator[tuple[str, Engine]]:
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    with open_engine(request.param, family.base, 32, family.a, family.b) as engine:
        yield request.param, engine


def flat(rows: Sequence[Sequence[float]]) -> np.ndarray:
    return np.concatenate(rows)


def test_an_adapter_reads_as_the_merged_model_does_and_not_as_its_base(
    served: tuple[str, Engine], family: Family
) -> None:
    name, engine = served
    found = {}
    for one in (family.base, family.a, family.b):
        engine.turn_to(one)
        found[one.name] = flat(engine.logprobs(PAIRS))
    for whole, expected in ((family.merged, found["a"]), (family.base, found["base"])):
        with open_engine("vllm", whole, 32) if name == "vllm" else closing(TransformersEngine(whole, 32)) as alone:
            np.testing.assert_allclose(expected, flat(alone.logprobs(PAIRS)), atol=1e-3)
    for one, other in (("a", "base"), ("b", "base"), ("a", "b")):
        assert np.abs(found[one] - found[other]).max() > 0.1


def test_what_an_adapter_writes_has_its_own_log_probs(served: tuple[str, Engine], family: Family) -> None:
    _, engine = served
    prompts = {prompt.prompt_id: prompt.token_ids for prompt in PROMPTS}
    for one, other in ((family.a, family.b), (family.b, family.base), (family.base, family.a)):
        engine.turn_to(one)
        drawn = engine.sample(PROMPTS, SAMPLING, 5, lambda *_: None)
        pairs = [(prompts[done.prompt_id], done.token_ids) for done in drawn]
        sampled = flat([done.logprobs for done in drawn])
        np.testing.assert_allclose(sampled, flat(engine.logprobs(pairs)), atol=1e-3)
        engine.turn_to(other)
        assert np.abs(sampled - flat(engine.logprobs(pairs))).max() > 0.1


def test_what_was_served_before_does_not_matter(served: tuple[str, Engine], family: Family) -> None:
    _, engine = served
    texts = []
    for between in (family.base, family.b):
        engine.turn_to(between)
        engine.sample(PROMPTS, SAMPLING, 7, lambda *_: None)
        engine.turn_to(family.a)
        texts.append([done.token_ids for done in engine.sample(PROMPTS, SAMPLING, 5, lambda *_: None)])
    assert texts[0] == texts[1]


def test_an_adapter_ends_where_its_own_tokenizer_ends(family: Family, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    own = write_adapter(tmp_path / "own", seed=1)
    tokenizer = AutoTokenizer.from_pretrained(family.base.location)
    with closing(TransformersEngine(family.a, 32)) as engine:
        first = engine.sample(PROMPTS[:1], SAMPLING, 5, lambda *_: None)
    # The second token that it wrote becomes the end.
    end = next(done.token_ids[1] for done in first if len(done.token_ids) > 2)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    tokenizer.save_pretrained(own)
    with closing(TransformersEngine(resolve("own", _spec(str(own))), 32)) as engine:
        second = engine.sample(PROMPTS[:1], SAMPLING, 5, lambda *_: None)
    assert any(done.token_ids[-1] == end and done.finish_reason == "stop" for done in second)


def test_one_load_is_of_one_base_in_one_precision(family: Family) -> None:
    half = resolve("half", CheckpointSpec(path="lab:base", kind="base", dtype="bfloat16"))
    asked = [("vllm", one) for one in (family.a, family.merged, family.base, half)] + [("transformers", family.b)]
    assert by_load(asked) == [["a", "base"], ["merged"], ["half"], ["b"]]


KINDS = [{"use_dora": True}, {"use_rslora": True}, {"rank_pattern": {"q_proj": 2}}, {"modules_to_save": ["lm_head"]}]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: next(iter(kind)))
def test_transformers_serves_other_kinds_and_the_base_after_them(
    family: Family, tmp_path: Path, kind: dict[str, Any]
) -> None:
    write_adapter(tmp_path / "own", seed=3, merged=tmp_path / "merged", **kind)
    own, merged = (resolve(name, _spec(str(tmp_path / name))) for name in ("own", "merged"))
    with closing(TransformersEngine(family.base, 32, own)) as engine:
        before = flat(engine.logprobs(PAIRS))
        engine.turn_to(own)
        found = flat(engine.logprobs(PAIRS))
        engine.turn_to(family.base)
        np.testing.assert_array_equal(flat(engine.logprobs(PAIRS)), before)
    with closing(TransformersEngine(merged, 32)) as alone:
        np.testing.assert_allclose(found, flat(alone.logprobs(PAIRS)), atol=1e-3)
    assert np.abs(found - before).max() > 0.1

"""A ladder of adapters is sampled and read with one load of its base each, and found again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import evalkit.inference.engines.base as engines
from evalkit.inference import begin, fill_needs, make_plan, read_groups, sample_missing
from evalkit.inference.forecasting import forecast
from evalkit.inference.plan import Plan
from evalkit.inference.speeds import Speed, remember_speed
from evalkit.plumbing.child_process import Remote
from evalkit.plumbing.progress import Quiet
from evalkit.runs.folder import open_store
from evalkit.runs.manifest import Manifest
from evalkit.suite.schema import Suite
from tests.adapters import write_adapter

LADDER = tuple(f"step-{step}" for step in range(1, 7))


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("ladder")
    return {name: write_adapter(folder / name, seed, rank=2 + seed) for seed, name in enumerate(LADDER)}


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Titles of the child processes that engines were opened in: one is one load."""
    titles: list[str] = []
    really = engines.open_child

    @contextmanager
    def counted(target: str, *args: Any, title: str, **more: Any) -> Iterator[Remote]:
        titles.append(title)
        with really(target, *args, title=title, **more) as remote:
            yield remote

    monkeypatch.setattr(engines, "open_child", counted)
    return titles


def planned(ladder: dict[str, Path], engine: str = "transformers", n: int = 2) -> Plan:
    adapters = {name: {"path": str(path), "kind": "base"} for name, path in ladder.items()}
    suite = {
        "name": "ladder",
        "checkpoints": {"base": {"path": "lab:base", "kind": "base"}, **adapters},
        "sampling": {"n": n, "max_tokens": 8, "seed": 3},
        "metrics": ["token_entropy"],
        "prompts": [{"id": "p0", "text": "Write a line about rain."}, {"id": "p1", "text": "Write a line about snow."}],
    }
    return make_plan(Suite.model_validate(suite), engine)


def sampled(plan: Plan, folder: Path) -> tuple[int, dict[str, list[str]], Manifest]:
    """How many completions were sampled now, every checkpoint's texts, and the manifest."""
    with open_store(folder, lambda _: None) as store:
        plan, manifest = begin(store, plan, ["evalkit", "run"])
        count = sample_missing(plan, store, Quiet()).completions
        groups = read_groups(plan, store)
        fill_needs(plan, groups, Quiet())
    texts = {arm: [one.text for group in own for one in group.completions] for arm, own in groups.items()}
    return count, texts, manifest


def test_a_forecast_counts_the_load_of_a_ladder_once(ladder: dict[str, Path], tmp_path: Path) -> None:
    plan = planned(ladder)
    for name, loaded in plan.checkpoints.items():
        [shard] = plan.shards_of(name)
        speed = Speed(60, 1, 4, {shard.distribution: 32}, {shard.distribution: 4}, 100)
        remember_speed(loaded, speed, pytest.fail)
    told = forecast(plan, tmp_path / "run")
    assert told.seconds == pytest.approx(60 + 7, abs=1)
    assert all(arm.missing == 4 for arm in told.arms)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["transformers", pytest.param("vllm", marks=pytest.mark.vllm)])
def test_a_ladder_of_adapters_loads_its_base_once_and_comes_from_the_cache(
    ladder: dict[str, Path], children: list[str], tmp_path: Path, engine: str
) -> None:
    count, texts, manifest = sampled(planned(ladder, engine), tmp_path / "run")
    assert count == 7 * 4
    assert len(children) == 2, "one load that samples all seven, one that reads the distributions of all seven"
    assert len({tuple(own) for own in texts.values()}) == 7
    step, base = (manifest.identity.checkpoints[name] for name in ("step-1", "base"))
    assert step.base_fingerprint == base.fingerprint != step.fingerprint
    assert str(step.base).endswith("base")
    assert "base" not in base.to_json(), "a manifest of whole weights is what it was"
    assert sampled(planned(ladder, engine), tmp_path / "run")[:2] == (0, texts)
    assert sampled(planned(ladder, engine), tmp_path / "again")[:2] == (0, texts)
    assert len(children) == 2

"""Single draws of single prompts are taken from where they are; what is asked for is what is nowhere, and settled at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.errors import InputError, StoreError
from evalkit.inference.origins import note_origins
from evalkit.inference.plan import Plan, make_plan
from evalkit.inference.sample import read_groups, sample_missing
from evalkit.inference.sampling_calls import Shard
from evalkit.inference.settle import begin
from evalkit.inference.stock import rectangles
from evalkit.plumbing.array_cache import key_of
from evalkit.plumbing.files import cache_folder
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion
from evalkit.runs.folder import Store, open_store
from evalkit.runs.shards import shards_in
from evalkit.suite.schema import Suite

Make = Callable[..., Suite]
ALL = tuple("abcdefgh")


@pytest.fixture
def suite(make_folder: Callable[..., Path]) -> Make:
    weights = str(make_folder())

    def make(prompts: Sequence[str] = ALL, n: int = 4, **changes: Any) -> Suite:
        asked = {
            "name": "tiny",
            "checkpoints": {"base": {"path": weights, "kind": "base"}},
            "sampling": {"n": n, "max_tokens": 8} | changes.pop("sampling", {}),
            "metrics": ["length"],
            "prompts": [{"id": name, "text": f"hello {'be ' * ALL.index(name)}"} for name in prompts],
        }
        return Suite.model_validate(asked | changes)

    return make


def draws(shard: Shard) -> list[Completion]:
    """Texts that say which call they are from, and which of its draws."""
    made = [
        Completion(prompt.prompt_id, slot, f"{prompt.prompt_id} {slot} {shard.key}", (1,), (), "stop")
        for prompt in shard.prompts
        for slot in range(len(shard.sample_indices))
    ]
    return shard.drawn(made)


def put(store: Store, shard: Shard) -> int:
    store.put(shard.key, draws(shard), shard.arm.name, shard.shared, call=shard.call)
    return shard.size


def missing(store: Store, plan: Plan) -> list[Shard]:
    return [one for one in plan.shards if not store.holds(one.key, one.arm.name, one.shared, one.distribution)]


def fill(folder: Path, asked: Suite, calls: int | None = None, **options: Any) -> tuple[Plan, int]:
    """Run a suite, or so many of its calls; how many completions were sampled."""
    with open_store(folder, lambda _: None) as store:
        plan, manifest = begin(store, make_plan(asked, "transformers"), [], **options)
        todo = missing(store, plan)
        sampled = sum(put(store, shard) for shard in todo[:calls])
        if calls is None:
            manifest = note_origins(plan, store, manifest, sampled, Quiet())
            store.write_manifest(manifest)
    return plan, sampled


def texts(folder: Path, plan: Plan) -> dict[tuple[str, str, int], str]:
    with open_store(folder, pytest.fail) as store:
        groups = read_groups(plan, store)
    for arm, members in groups.items():
        total = next(one.kept.n * one.arm.best_of for one in plan.shards_of(arm))
        for group in members:
            assert [one.sample_index for one in group.completions] == list(range(total))
    return {
        (arm, group.prompt.id, one.sample_index): one.text
        for arm, members in groups.items()
        for group in members
        for one in group.completions
    }


ASKED = st.tuples(st.lists(st.sampled_from(ALL), min_size=1, unique=True), st.integers(1, 9))


@given(st.lists(ASKED, min_size=1, max_size=4))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_sampled_is_what_no_run_before_had_and_all_of_it_is_there(
    suite: Make, tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[list[str], int]]
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        there: dict[tuple[str, int], str] = {}
        for index, (prompts, n) in enumerate(runs):
            wanted = {(prompt, slot) for prompt in prompts for slot in range(n)}
            plan, sampled = fill(folder / str(index), suite(prompts, n))
            assert sampled == len(wanted - set(there))
            found = {(prompt, slot): text for (_, prompt, slot), text in texts(folder / str(index), plan).items()}
            assert set(found) == wanted
            assert {place: found[place] for place in wanted & set(there)} == {
                place: there[place] for place in wanted & set(there)
            }
            there |= found


def test_no_draw_is_another_one_s_copy(suite: Make, tmp_path: Path) -> None:
    fill(tmp_path / "one", suite("abc", 3))
    fill(tmp_path / "two", suite("bcd", 5))
    plan, _ = fill(tmp_path / "three", suite("abcd", 8))
    assert len({shard.seed for shard in plan.shards}) == len({shard.key for shard in plan.shards}) > 2
    assert len(set(texts(tmp_path / "three", plan).values())) == 4 * 8


def test_a_killed_run_goes_on_with_the_calls_that_were_settled_whatever_came_into_the_cache(
    suite: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "before", suite("abcd", 3))
    shutil.copytree(cache_folder("completions"), tmp_path / "other" / "evalkit" / "completions")
    settled, sampled = fill(tmp_path / "run", suite(ALL, 70), calls=2)
    fill(tmp_path / "rival", suite(ALL, 71))
    resumed, rest = fill(tmp_path / "run", suite(ALL, 70))
    assert resumed.shards == settled.shards
    assert sampled + rest == 8 * 70 - 4 * 3
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    whole, _ = fill(tmp_path / "whole", suite(ALL, 70))
    assert texts(tmp_path / "whole", whole) == texts(tmp_path / "run", resumed)


def test_two_runs_that_fill_one_cache_at_once_lose_nothing(suite: Make, tmp_path: Path) -> None:
    asked = [suite(ALL, 5), suite("hgfe", 9)]
    with open_store(tmp_path / "one", pytest.fail) as one, open_store(tmp_path / "two", pytest.fail) as two:
        plans = [
            begin(store, make_plan(own, "transformers"), [])[0] for store, own in zip((one, two), asked, strict=True)
        ]
        for store, plan in zip((one, two), plans, strict=True):
            for shard in missing(store, plan):
                put(store, shard)
    assert fill(tmp_path / "three", suite(ALL, 9))[1] == 4 * 4
    assert fill(tmp_path / "four", suite(ALL, 9))[1] == 0


def test_a_call_of_an_empty_cache_is_the_one_that_older_evalkits_made(suite: Make, tmp_path: Path) -> None:
    """So what they sampled is used, although their shards tell nothing of the call."""
    plan = make_plan(suite("ab", 4), "transformers")
    [shard] = plan.shards
    loaded = plan.checkpoints["base"]
    content = {
        "weights": loaded.checkpoint.fingerprint,
        "dtype": loaded.checkpoint.dtype,
        "engine": "transformers",
        "engine_version": loaded.engine_version,
        "max_length": loaded.max_length,
        "sampling": {"n": 4, "temperature": 1.0, "top_p": 1.0, "min_p": 0.0, "max_tokens": 8, "stop": ["\nPrompt:"],
                     "seed": 0},
        "prompts": [[prompt.prompt_id, list(prompt.token_ids)] for prompt in loaded.rendered],
        "twin": 0,
    }  # fmt: skip
    assert shard.key == key_of(content)
    with open_store(tmp_path / "old", pytest.fail) as store:
        store.put(shard.key, draws(shard))
    assert fill(tmp_path / "new", suite("ab", 4))[1] == 0
    assert fill(tmp_path / "grown", suite("abc", 4))[1] == 3 * 4  # which prompts an old shard holds, nothing tells


def as_of_old(folder: Path) -> None:
    """The manifest as older evalkits wrote it."""
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    rows = [
        {name: row[name] for name in ("arm", "key", "seed")} | {"prompts": len(row["prompts"])}
        for row in manifest["shards"]
    ]
    old = {name: manifest[name] for name in manifest if name not in ("asked", "grown", "tags")}
    (folder / "run.json").write_text(json.dumps(old | {"shards": rows}), encoding="utf-8")


def test_an_older_run_s_folder_goes_on_under_its_own_keys_and_then_grows(suite: Make, tmp_path: Path) -> None:
    plan = make_plan(suite(ALL, 60), "transformers")
    with open_store(tmp_path / "run", pytest.fail) as store:
        _, manifest = begin(store, plan, [])
        old = tuple(row.model_copy(update={"key": f"old{place}"}) for place, row in enumerate(manifest.shards))
        store.write_manifest(manifest.model_copy(update={"shards": old}))
        store.put("old0", draws(plan.shards[0]))
    as_of_old(tmp_path / "run")
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(
        InputError, match=r"different: prompts, .*\), and what an older evalkit began grows only after its own"
    ):
        fill(tmp_path / "run", suite("abc", 60))
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    resumed, sampled = fill(tmp_path / "run", suite(ALL, 60))
    assert [shard.key for shard in resumed.shards] == ["old0", "old1"]
    assert sampled == plan.shards[1].size
    assert fill(tmp_path / "run", suite(ALL, 61))[1] == 8


def test_some_of_a_call_that_is_lost_from_folder_and_cache_is_sampled_anew(
    suite: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "wide", suite(ALL, 4))
    plan, sampled = fill(tmp_path / "run", suite("ab", 3))
    assert sampled == 0
    assert [shard.part for shard in plan.shards] == [True]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    [path] = shards_in(tmp_path / "run" / "completions")[plan.shards[0].key]
    path.unlink()
    again, sampled = fill(tmp_path / "run", suite("ab", 3))
    assert sampled == 2 * 3
    texts(tmp_path / "run", again)
    with (
        open_store(tmp_path / "run", pytest.fail) as store,
        pytest.raises(StoreError, match="was lost since the run began; give the same command again"),
    ):
        sample_missing(plan, store, Quiet())


def test_a_damaged_shard_of_the_cache_costs_its_own_draws_alone(suite: Make, tmp_path: Path) -> None:
    fill(tmp_path / "one", suite("ab", 4))
    plan, _ = fill(tmp_path / "two", suite("abc", 4))
    victims = [path for shard in plan.shards if not shard.cached
               for path in shards_in(cache_folder("completions") / shard.distribution)[shard.key]]  # fmt: skip
    for path in victims:
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content[:60] + b"?" + content[61:])
    assert fill(tmp_path / "three", suite("abc", 4))[1] == 4
    assert [path.with_suffix(".damaged").exists() for path in victims] == [True]


@pytest.mark.parametrize(
    "change",
    [
        {"sampling": {"seed": 1}},
        {"sampling": {"max_tokens": 9}},
        {"sampling": {"temperature": [0.5]}},
        {"sampling": {"top_p": 0.5}},
        {"sampling": {"stop": ["x"]}},
    ],
    ids=str,
)
def test_draws_from_another_law_or_seed_are_other_draws(suite: Make, tmp_path: Path, change: dict[str, Any]) -> None:
    fill(tmp_path / "one", suite("ab", 4))
    assert fill(tmp_path / "two", suite("ab", 4, **change))[1] == 8


def test_a_prompt_that_says_something_else_is_another_prompt(suite: Make, tmp_path: Path) -> None:
    asked = suite("ab", 4)
    fill(tmp_path / "one", asked)
    other = replace(asked.prompts[1], text="be hello")
    assert fill(tmp_path / "two", asked.model_copy(update={"prompts": (asked.prompts[0], other)}))[1] == 4


def test_twins_and_draws_to_choose_from_are_nobody_s_copies(
    suite: Make, tmp_path: Path, make_folder: Callable[..., Path]
) -> None:
    path = str(make_folder("alone"))
    alone = {"a": {"path": path, "kind": "base"}}
    best = {"best_of": {"n": 2, "reward": "lab:reward"}}
    fill(tmp_path / "alone", suite("ab", 8, checkpoints=alone))
    plan, sampled = fill(
        tmp_path / "all", suite("ab", 4, checkpoints=alone | {"b": alone["a"], "best": alone["a"] | best})
    )
    assert sampled == 2 * 4 + 2 * 8
    assert len(set(texts(tmp_path / "all", plan).values())) == 2 * 4 + 2 * 4 + 2 * 8


def test_the_first_prompts_of_a_plan_have_what_is_there_of_them(suite: Make, tmp_path: Path) -> None:
    fill(tmp_path / "wide", suite(ALL, 4))
    with open_store(tmp_path / "run", pytest.fail) as store:
        plan = make_plan(suite("hgfedcba", 6), "transformers", blocks=4)
        assert plan.block_ends == (2, 4, 6, 8)
        plan, _ = begin(store, plan, [], ends=plan.block_ends)
        for end in (2, 4, 6, 8):
            todo = missing(store, plan.first(end))
            assert {one.prompt_id for shard in todo for one in shard.prompts} == set("hgfedcba"[end - 2 : end])
            assert sum(put(store, shard) for shard in todo) == 2 * 2
        assert missing(store, plan) == []


def test_the_manifest_says_which_completions_come_from_which_call(suite: Make, tmp_path: Path) -> None:
    fill(tmp_path / "one", suite("abc", 4))
    plan, _ = fill(tmp_path / "two", suite("bcd", 6))
    with open_store(tmp_path / "two", pytest.fail) as store:
        manifest = store.manifest()
    assert manifest is not None
    rows = [(row.prompts, row.slots, row.part, row.cached) for row in manifest.shards]
    assert rows == [(["b", "c"], (0, 4), True, True), (["b", "c"], (4, 6), False, False), (["d"], (0, 6), False, False)]
    assert manifest.samples["base"].completions == 18
    assert manifest.samples["base"].from_cache == 8
    by_key = {shard.key: shard for shard in plan.shards}
    for row in manifest.shards:
        assert row.seed == by_key[row.key].seed


@given(
    st.integers(1, 6).flatmap(
        lambda width: st.lists(st.lists(st.booleans(), min_size=width, max_size=width), min_size=1)
    )
)
def test_rectangles_cover_what_is_wanted_once(rows: list[list[bool]]) -> None:
    wanted = np.array(rows)
    covered = np.zeros(wanted.shape, dtype=int)
    for members, slots in rectangles(wanted):
        covered[np.ix_(members, list(slots))] += 1
    assert (covered == wanted).all()

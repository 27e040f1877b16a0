"""Where completions lie: true distances, wide arms wide, collapsed arms a point."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalkit.analysis import embedding_map as completion_map
from evalkit.analysis.collect_figure_data import collect_figure_data
from evalkit.analysis.embedding_map import find_plane, half_outline, map_completions, scale
from evalkit.analysis.figure_data import CompletionMap, FigureData, MappedTexts, read_figure_data, to_json
from evalkit.plumbing.arrays import Array
from evalkit.records import Completion, Group, Prompt

D = 8


def group(prompt: str, texts: list[str], rows: Array) -> Group:
    drawn = tuple(Completion(prompt, slot, text, (), (), "stop") for slot, text in enumerate(texts))
    return Group(Prompt(prompt, f"About {prompt}?"), drawn, embeddings=rows.astype(np.float32))


def various(prompt: str, seed: int, n: int = 12, about: Array | None = None) -> Group:
    """`n` different texts around the prompt's own subject."""
    rows = np.random.default_rng(seed).normal(size=(n, D)) * 0.3 + (0.0 if about is None else about)
    return group(prompt, [f"{prompt} {seed} {i}" for i in range(n)], rows)


def collapsed(prompt: str, at: Array, n: int = 12) -> Group:
    """`n` times the same text."""
    return group(prompt, [f"{prompt} again"] * n, np.tile(at, (n, 1)))


def mapped(groups: dict[str, list[Group]]) -> CompletionMap:
    found = map_completions(groups)
    assert found is not None
    return found


def texts_of(found: CompletionMap, arm: str, prompt: int = 0) -> MappedTexts:
    return next(texts for texts in found.prompts[prompt].arms if texts.arm == arm)


def between(texts: MappedTexts) -> Array:
    """Distances of all pairs on the map of their prompt."""
    places = np.array([texts.x, texts.y]).T
    return np.asarray(np.linalg.norm(places[:, None] - places[None], axis=2))


@pytest.fixture
def prompts() -> list[Array]:
    """Far apart subjects."""
    return [5 * row for row in np.random.default_rng(1).normal(size=(6, D))]


@pytest.fixture
def two(prompts: list[Array]) -> dict[str, list[Group]]:
    """A various arm, and one that says one thing a prompt, each time elsewhere."""
    rng = np.random.default_rng(2)
    return {
        "base": [various(f"p{i}", i, about=about) for i, about in enumerate(prompts)],
        "tuned": [collapsed(f"p{i}", about + rng.normal(size=D)) for i, about in enumerate(prompts)],
    }


def test_without_embeddings_there_is_no_map(two: dict[str, list[Group]]) -> None:
    bare = {arm: [replace(group, embeddings=None) for group in own] for arm, own in two.items()}
    assert map_completions(bare) is None
    assert collect_figure_data(bare, ()).completion_map is None


def test_a_collapsed_arm_is_one_point_with_the_weight_of_all(two: dict[str, list[Group]]) -> None:
    tuned = texts_of(mapped(two), "tuned")
    assert tuned.counts == (12,)
    assert (tuned.different, tuned.drawn, tuned.distance) == (1, 12, 0.0)
    assert (tuned.outline.long, tuned.outline.short) == (0.0, 0.0)
    assert (tuned.outline.x, tuned.outline.y) == (*tuned.x, *tuned.y)


def test_a_collapsed_arm_is_a_point_on_the_map_of_all_prompts_wherever_its_answers_lie(
    two: dict[str, list[Group]],
) -> None:
    base, tuned = mapped(two).arms
    assert tuned.distance_shown == tuned.outline.long == 0.0
    assert base.distance_shown > 0.2
    assert base.outline.short > 0.1


def test_what_prompts_are_about_is_not_on_the_map_of_all(prompts: list[Array]) -> None:
    found = mapped({"base": [various(f"p{i}", i, about=about) for i, about in enumerate(prompts)]})
    x = np.array([value for one in found.prompts for value in one.arms[0].around_x])
    assert np.abs(x).max() < 1.5  # the subjects are some 20 apart


def test_a_move_on_all_prompts_alike_is_on_the_map_of_all(prompts: list[Array]) -> None:
    base = [various(f"p{i}", i, about=about) for i, about in enumerate(prompts)]
    away = np.eye(D)[0] * 4
    moved = [various(f"p{i}", i, about=about + away) for i, about in enumerate(prompts)]
    one, other = (arm.outline for arm in mapped({"base": base, "moved": moved}).arms)
    assert np.hypot(one.x - other.x, one.y - other.y) == pytest.approx(4, rel=0.01)


def test_texts_are_named_by_their_place_in_order_of_count() -> None:
    rows = np.eye(D)[[0, 1, 1, 2, 2, 2]]
    found = texts_of(mapped({"base": [group("p", ["a", "b", "b", "c", "c", "c"], rows)]}), "base")
    assert dict(zip(found.texts, found.counts, strict=True)) == {2: 1, 1: 2, 0: 3}


def test_the_order_of_arms_changes_no_distance(two: dict[str, list[Group]]) -> None:
    ahead = mapped(two)
    behind = mapped(dict(reversed(two.items())))
    for prompt in range(len(ahead.prompts)):
        assert between(texts_of(ahead, "base", prompt)) == pytest.approx(
            between(texts_of(behind, "base", prompt)), abs=0.02
        )


def test_the_same_completions_give_the_same_map(two: dict[str, list[Group]]) -> None:
    assert mapped(two) == mapped(two)


def test_scaling_finds_places_that_a_plane_can_hold() -> None:
    rng = np.random.default_rng(3)
    true = rng.normal(size=(20, 2))
    distances = np.linalg.norm(true[:, None] - true[None], axis=2)
    places, stress = scale(distances, np.ones(20), true + rng.normal(size=(20, 2)) * 0.3)
    assert stress < 0.01
    assert np.linalg.norm(places[:, None] - places[None], axis=2) == pytest.approx(distances, abs=0.05)


def test_a_weight_is_as_many_copies() -> None:
    rows = np.random.default_rng(4).normal(size=(5, D))
    distances = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    start = find_plane(rows).project(rows)
    copies = [0, 0, 0, 1, 2, 2, 3, 4]
    weighted, stress = scale(distances, np.array([3.0, 1, 2, 1, 1]), start)
    copied, same = scale(distances[np.ix_(copies, copies)], np.ones(8), start[copies])
    assert stress == pytest.approx(same)
    assert weighted[copies] == pytest.approx(copied, abs=1e-9)


def test_scaling_shows_width_where_principal_components_lose_it() -> None:
    """Texts that have nothing in common are equally far apart; of that a plane shows nearly nothing."""
    rows = np.linalg.qr(np.random.default_rng(5).normal(size=(40, 40)))[0]
    found = texts_of(mapped({"base": [group("p", [str(i) for i in range(40)], rows)]}), "base")
    flat = find_plane(rows).project(rows)
    assert found.distance == pytest.approx(0.987, abs=0.001)
    assert found.distance_shown > 0.6
    assert np.linalg.norm(flat, axis=1).mean() < 0.35


def test_an_outline_holds_half() -> None:
    places = np.random.default_rng(6).normal(size=(401, 2)) @ np.array([[2.0, 0.5], [0.0, 0.4]])
    outline = half_outline(places)
    turned = np.array([[np.cos(outline.turn), -np.sin(outline.turn)], [np.sin(outline.turn), np.cos(outline.turn)]])
    own = (places - (outline.x, outline.y)) @ turned
    inside = (own[:, 0] / outline.long) ** 2 + (own[:, 1] / outline.short) ** 2 <= 1
    assert outline.long > outline.short
    assert inside.mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("places", "short"), [([[1, 1]], 0), ([[1, 1], [1, 1]], 0), ([[0, 0], [1, 1], [2, 2]], 0)])
def test_an_outline_of_a_point_or_a_line_is_one(places: list[list[float]], short: float) -> None:
    assert half_outline(np.array(places, dtype=float)).short == short


@pytest.mark.parametrize("texts", [["only"], ["same", "same"], ["one", "other"]])
def test_few_completions_are_no_trouble(texts: list[str]) -> None:
    rows = np.eye(D)[[len(text) for text in texts]]
    found = mapped({"base": [group("p", texts, rows)]})
    assert sum(texts_of(found, "base").counts) == len(texts)
    assert to_json(FigureData(completion_map=found))


def test_prompts_that_an_arm_was_not_asked_are_left_out_for_it(two: dict[str, list[Group]]) -> None:
    found = mapped(two | {"tuned": [replace(two["tuned"][0], completions=()), *two["tuned"][1:]]})
    assert [texts.arm for texts in found.prompts[0].arms] == ["base"]
    assert [texts.arm for texts in found.prompts[1].arms] == ["base", "tuned"]


def test_a_large_run_shows_evenly_chosen_completions_and_counts_all(
    two: dict[str, list[Group]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion_map, "MOST_POINTS", 30)
    found = mapped(two)
    base = texts_of(found, "base")
    assert sum(len(texts.x) for one in found.prompts for texts in one.arms) <= 30
    assert found.step == 3
    assert base.texts == (0, 3, 6, 9)
    assert (base.drawn, base.different) == (12, 12)


def test_a_prompt_with_many_completions_is_thinned_too(
    two: dict[str, list[Group]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion_map, "MOST_OF_A_PROMPT", 7)  # 12 different texts of the various arm, 1 of the other
    found = mapped(two)
    assert found.step == 2
    assert max(sum(len(texts.x) for texts in one.arms) for one in found.prompts) == 7


def test_it_is_read_back_as_it_was_written(two: dict[str, list[Group]], tmp_path: Path) -> None:
    evidence = collect_figure_data(two, ())
    (tmp_path / "evidence.json").write_bytes(to_json(evidence))
    assert read_figure_data(tmp_path) == evidence

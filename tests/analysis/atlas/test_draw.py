"""The atlas as the page gets it."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.analysis.atlas.draw import FARTHEST, FEWEST, draw_atlas
from evalkit.analysis.figure_data import Atlas, FigureData, to_json
from evalkit.records import Group
from tests.analysis.atlas.clouds import crowds
from tests.analysis.atlas.test_packing import unpacked
from tests.analysis.test_embedding_map import group


@pytest.fixture(scope="module")
def groups() -> dict[str, list[Group]]:
    """Two arms, four prompts of 30 completions; both arms say one thing alike on every prompt."""
    rows, _ = crowds(8, 29)
    made: dict[str, list[Group]] = {"base": [], "tuned": []}
    for place, arm in enumerate(made):
        for prompt in range(4):
            own = rows[29 * (4 * place + prompt) :][:29]
            shared = rows[prompt : prompt + 1]
            texts = [f"{arm} {prompt} {i}" for i in range(29)] + [f"both {prompt}"]
            made[arm].append(group(f"p{prompt}", texts, np.concatenate([own, shared])))
    return made


@pytest.fixture(scope="module")
def atlas(groups: dict[str, list[Group]]) -> Atlas:
    found = draw_atlas(groups)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def columns(atlas: Atlas) -> dict[str, np.ndarray]:
    names, lengths = zip(*atlas.columns, strict=True)
    return dict(zip(names, unpacked(atlas.packed, list(lengths)), strict=True))


def spoken(atlas: Atlas, columns: dict[str, np.ndarray], groups: dict[str, list[Group]]) -> list[set[tuple[str, str]]]:
    """Of each text of the page who says it, by its words."""
    ends = np.cumsum(columns["points"])
    of_points = []
    for arm, prompt, rank in zip(columns["arm"], columns["prompt"], columns["rank"], strict=True):
        own = next(one for one in groups[atlas.arms[arm]] if one.prompt.id == atlas.prompts[prompt])
        of_points.append((atlas.arms[arm], own.texts[rank]))
    return [set(of_points[end - count : end]) for end, count in zip(ends, columns["points"], strict=True)]


def test_a_text_that_two_arms_say_is_one_place_and_two_points(
    atlas: Atlas, columns: dict[str, np.ndarray], groups: dict[str, list[Group]]
) -> None:
    by_text = spoken(atlas, columns, groups)
    assert len(by_text) == 2 * 4 * 29 + 4
    both = [said for said in by_text if len(said) == 2]
    assert len(both) == 4
    assert all({text for _, text in said} == {next(iter(said))[1]} for said in both)


def test_neighbours_are_the_true_ones(
    atlas: Atlas, columns: dict[str, np.ndarray], groups: dict[str, list[Group]]
) -> None:
    row = {text: own.embeddings[i] for of in groups.values() for own in of for i, text in enumerate(own.texts)}  # type: ignore[index]
    texts = [next(iter(said))[1] for said in spoken(atlas, columns, groups)]
    rows = np.array([row[text] for text in texts])
    distances = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert atlas.listed == 1
    for text in range(len(texts)):
        listed = [text + columns[f"neighbour{place}"][text] for place in range(5)]
        assert distances[text][listed] == pytest.approx(np.sort(distances[text])[:5], abs=1e-3)


def test_every_completion_is_in_a_region(atlas: Atlas) -> None:
    assert np.sum([region.completions for region in atlas.regions], axis=0).tolist() == [120, 120]


def test_places_are_whole_numbers_and_the_map_is_wider_than_high(columns: dict[str, np.ndarray]) -> None:
    assert max(abs(columns["x"]).max(), abs(columns["y"]).max()) == FARTHEST
    assert columns["x"].std() >= columns["y"].std()


def test_the_same_completions_give_the_same_atlas(atlas: Atlas, groups: dict[str, list[Group]]) -> None:
    assert draw_atlas(groups) == atlas
    assert to_json(FigureData(atlas=atlas))


def test_few_texts_are_read_sooner_than_searched() -> None:
    few = [f"{i}" for i in range(FEWEST - 1)]
    assert draw_atlas({"base": [group("p", few, np.eye(FEWEST - 1))]}) is None
    assert draw_atlas({"base": []}) is None

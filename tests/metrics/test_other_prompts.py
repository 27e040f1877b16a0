"""Which prompts are held against which: evenly, the same whatever the order, never two wordings of one question."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.other_prompts import design_hash, others_of
from evalkit.records import Prompt

NAMES = st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=12, unique=True)


def prompts(names: list[str], clusters: list[str | None] | None = None) -> list[Prompt]:
    given_clusters = clusters or [None] * len(names)
    return [
        Prompt(name, f"what is {name}", cluster=cluster) for name, cluster in zip(names, given_clusters, strict=True)
    ]


@given(NAMES, st.integers(1, 14))
def test_every_prompt_has_and_is_equally_many_others(names: list[str], most: int) -> None:
    design = others_of(prompts(names), most)
    assert design.count == min(most, len(names) - 1)
    assert all(len({place, *others}) == 1 + design.count for place, others in enumerate(design.others))
    serves = Counter(other for others in design.others for other in others)
    assert set(serves.values()) <= {design.count}
    assert sorted(design.order) == list(range(len(names)))


@given(NAMES, st.integers(2, 14), st.data())
def test_fewer_others_are_the_first_of_more(names: list[str], most: int, data: st.DataObject) -> None:
    fewer = data.draw(st.integers(1, most))
    more = others_of(prompts(names), most).others
    assert others_of(prompts(names), fewer).others == tuple(others[:fewer] for others in more)


@given(NAMES, st.data())
def test_the_order_of_a_suite_decides_nothing(names: list[str], data: st.DataObject) -> None:
    turned = data.draw(st.permutations(names))

    def by_name(order: list[str]) -> dict[str, list[str]]:
        design = others_of(prompts(order), 3)
        return {name: [order[other] for other in others] for name, others in zip(order, design.others, strict=True)}

    assert by_name(turned) == by_name(names)


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=20), st.integers(1, 5))
def test_wordings_of_a_question_are_never_held_against_each_other(clusters: list[str], most: int) -> None:
    design = others_of(prompts([str(place) for place in range(len(clusters))], list(clusters)), most)
    assert design.count == min(most, len(set(clusters)) - 1)
    assert design.questions == len(set(clusters))
    for place, others in enumerate(design.others):
        assert len({clusters[place], *(clusters[other] for other in others)}) == 1 + design.count


def test_wordings_of_one_question_meet_those_of_the_next_in_turn() -> None:
    asked = prompts(["a1", "a2", "b1", "b2"], ["a", "a", "b", "b"])
    assert others_of(asked, 1).others == ((2,), (3,), (0,), (1,))


def test_the_hash_changes_with_what_is_held_against_what() -> None:
    three = prompts(["a", "b", "c"])
    assert design_hash(three, 2) == design_hash(three, 9) != design_hash(three, 1)
    assert design_hash(three, 2) != design_hash(prompts(["a", "b", "d"]), 2)
    assert design_hash(three, 2) != design_hash([Prompt("a", "anew"), *three[1:]], 2)
    assert others_of([], 3).count == others_of(three[:1], 3).count == 0

"""Which pair comes next: none twice, by the stated chance, and after a restart as if there had been none."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from evalkit.preferences.annotate.choosing import Chooser, Place, ShuffledPairs, UniformPairs, _Urn
from evalkit.preferences.annotate.run_pairs import RunPairs
from evalkit.preferences.annotation import Comparison
from tests.preferences.annotate.runs import run_pairs
from tests.preferences.annotate.served import comparisons


def all_of(chooser: Chooser, seed: int = 0) -> list[Comparison]:
    generator = random.Random(seed)
    return list(iter(lambda: chooser.draw([], generator), None))  # type: ignore[arg-type]


def place(one: Comparison) -> Place:
    assert one.arms is not None
    assert one.sample_indices is not None
    return one.arms[0], one.pair.prompt_id, *one.sample_indices


def test_a_file_s_pairs_come_once_each_in_an_order_of_the_seed() -> None:
    pairs = comparisons(30)
    order = all_of(ShuffledPairs([*pairs, *pairs[:3]], set(), seed=1))
    assert {one.id for one in order} == {one.id for one in pairs}
    assert len(order) == 30
    assert order != pairs
    assert all_of(ShuffledPairs(pairs, set(), seed=2)) != order


def test_a_file_goes_on_where_it_was_stopped() -> None:
    pairs = comparisons(30)
    order = all_of(ShuffledPairs(pairs, set(), seed=1))
    assert all_of(ShuffledPairs(pairs, {one.id for one in order[:12]}, seed=1)) == order[12:]


def test_a_run_s_pairs_come_once_each_but_for_those_of_equal_texts() -> None:
    pairs = run_pairs()
    drawn = all_of(UniformPairs(pairs, []))
    every = {place(pairs.comparison(arm, number)) for arm in pairs.arms for number in range(pairs.size(arm))}
    assert len({place(one) for one in drawn}) == len(drawn) == len(every) - sum(map(pairs.equal, pairs.arms))
    assert all(one.pair.a != one.pair.b for one in drawn)


def test_the_stated_chance_is_that_of_the_arm_times_that_of_the_pair_in_what_is_left() -> None:
    pairs = run_pairs()
    left = {arm: pairs.size(arm) - pairs.equal(arm) for arm in pairs.arms}
    for one in all_of(UniformPairs(pairs, [])):
        arm = place(one)[0]
        assert one.probability == 1 / (sum(count > 0 for count in left.values()) * left[arm])
        left[arm] -= 1
    assert set(left.values()) == {0}


def test_pairs_are_drawn_with_the_stated_chance() -> None:
    """The first and the second draw, both against what was stated for them."""
    pairs = run_pairs(n=2, prompts=2)
    for number in (1, 2):
        seen: Counter[Place] = Counter()
        chances: dict[Place, float] = {}
        for seed in range(4000):
            chooser, generator = UniformPairs(pairs, []), random.Random(seed)
            for _ in range(number):
                one = chooser.draw([], generator)
            assert one is not None
            seen[place(one)] += 1
            if number == 1:
                chances[place(one)] = one.probability
        if number == 1:
            assert abs(sum(chances.values()) - 1) < 1e-12
            first = chances
        # Before anything is known of the first draw, the second has the same distribution where the arms are alike.
        expected = [4000 * first[key] for key in seen]
        assert set(seen) == set(first)
        assert chisquare(list(seen.values()), expected).pvalue > 1e-3


def test_what_was_drawn_before_a_restart_is_neither_drawn_again_nor_counted() -> None:
    pairs = run_pairs()
    chooser, generator = UniformPairs(pairs, []), random.Random(3)
    before = [one for one in (chooser.draw([], generator) for _ in range(7)) if one is not None]
    gone = ("best", "no such prompt", 0, 0)
    restarted = UniformPairs(pairs, [*map(place, before), gone, ("no such arm", "p0", 0, 0)])
    one, other = chooser.draw([], random.Random(9)), restarted.draw([], random.Random(9))
    assert one is not None
    assert other is not None
    assert one.probability == other.probability
    rest = {place(one) for one in all_of(restarted)} | {place(other)}
    assert not rest & set(map(place, before))
    assert len(rest) + len(before) == sum(pairs.size(arm) - pairs.equal(arm) for arm in pairs.arms)


@given(st.integers(0, 40), st.data())
def test_an_urn_gives_what_was_not_taken_out_once_each(size: int, data: st.DataObject) -> None:
    taken = data.draw(st.lists(st.integers(0, size - 1)) if size else st.just([]))
    urn, generator = _Urn(size), random.Random(data.draw(st.integers()))
    for number in taken:
        urn.remove(number)
    assert sorted(urn.draw(generator) for _ in range(urn.left)) == sorted(set(range(size)) - set(taken))


def test_a_run_of_billions_of_pairs_takes_no_memory() -> None:
    urn = _Urn(10**12)
    assert len({urn.draw(random.Random(seed)) for seed in range(100)}) == 100
    assert urn.left == 10**12 - 100
    assert isinstance(run_pairs(), RunPairs)

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.distinct_texts import DistinctTexts
from evalkit.plumbing.lazily import Mapped
from evalkit.records import Completion, Group, Prompt

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=6), max_size=6)


def groups_of(texts: list[list[str]]) -> list[Group]:
    return [
        Group(
            Prompt(f"p{number}", "?"),
            tuple(Completion(f"p{number}", index, text, (), (), "stop") for index, text in enumerate(of_prompt)),
        )
        for number, of_prompt in enumerate(texts)
    ]


@given(TEXTS, st.integers(1, 5))
def test_every_distinct_text_of_a_prompt_is_asked_once_and_its_answer_goes_to_all_completions_of_it(
    texts: list[list[str]], most: int
) -> None:
    distinct = DistinctTexts(groups_of(texts))
    batches = distinct.batches(most, lambda prompt, text: (prompt.id, text))
    asked = [item for batch in batches for item in list(batch.items)]
    assert [len(batch.items) for batch in batches] == [len(list(batch.items)) for batch in batches]
    assert asked == [
        (f"p{number}", text) for number, of_prompt in enumerate(texts) for text in dict.fromkeys(of_prompt)
    ]
    assert len(asked) == len(distinct)
    spread = distinct.spread(np.arange(len(asked)))
    assert [[asked[value] for value in row] for row in spread] == [
        [(f"p{number}", text) for text in of_prompt] for number, of_prompt in enumerate(texts)
    ]
    assert [list(distinct.of_prompt(number)) for number in range(len(texts))] == [
        [*dict.fromkeys(one)] for one in texts
    ]


def test_a_batch_looks_at_the_groups_alone_that_it_is_made_of() -> None:
    looks: list[int] = []

    def look(index: int, group: Group) -> Group:
        looks.append(index)
        return group

    distinct = DistinctTexts(Mapped(groups_of([["a", "b"], ["c"], ["d", "e"], ["f"]]), look))
    looks.clear()
    second = distinct.batches(2, lambda _, text: text)[1]
    assert looks == []
    assert list(second.items) == ["c", "d"]
    assert looks == [1, 2]

"""Lists of answers told apart: what is rendered in any layout is parsed back, and prose is not taken for a list."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.runs.answer_lists import answers_in, chance

WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyzäé,;'", min_size=1, max_size=8).filter(str.strip)
LINES = st.lists(WORDS, min_size=1, max_size=6).map(lambda words: "A" + " ".join(words) + ".")
TEXTS = st.lists(LINES, min_size=1, max_size=3).map("\n".join)
"""One line or several."""
VERSES = st.lists(LINES, min_size=2, max_size=3).map("\n\n".join)
CHANCES = st.integers(0, 100).map(lambda number: number / 100)
Layout = Callable[[Sequence[str]], str]


def indented(text: str) -> str:
    return text.replace("\n", "\n   ")


LAYOUTS: dict[str, Layout] = {
    "numbered": lambda texts: "\n".join(f"{i}. {indented(text)}" for i, text in enumerate(texts, 1)),
    "numbered, apart": lambda texts: "\n\n".join(f"{i}) {text}" for i, text in enumerate(texts, 1)),
    "numbered in bold": lambda texts: "Sure:\n\n" + "\n".join(f"**{i}.** {text}" for i, text in enumerate(texts, 1)),
    "bullets": lambda texts: "Here you are:\n" + "\n".join(f"- {indented(text)}" for text in texts),
    "bulleted numbers": lambda texts: "\n".join(f"* {i}. {indented(text)}" for i, text in enumerate(texts, 1)),
    "json": lambda texts: json.dumps(list(texts)),
    "fenced json": lambda texts: f"```json\n{json.dumps([{'text': text} for text in texts], indent=1)}\n```",
    "json in an object": lambda texts: json.dumps({"answers": list(texts)}),
    "json by number": lambda texts: json.dumps({str(i): text for i, text in enumerate(texts, 1)}),
    "tags": lambda texts: "\n".join(f"<response>{text}</response>" for text in texts),
    "tags that stay open": lambda texts: "\n".join(f"<answer>{text}" for text in texts),
    "tags with texts": lambda texts: "".join(f"<response><text>{text}</text></response>" for text in texts),
    "numbered tags": lambda texts: "\n".join(f"<answer{i}>{text}</answer{i}>" for i, text in enumerate(texts, 1)),
    "blocks": lambda texts: "\n\n".join(texts),
}


@given(st.lists(TEXTS, min_size=2, max_size=6), st.sampled_from(sorted(LAYOUTS)))
def test_what_is_rendered_in_any_layout_is_parsed_back(texts: list[str], layout: str) -> None:
    found = answers_in(LAYOUTS[layout](texts), len(texts), False, False)
    assert ([one.text for one in found], {one.is_whole for one in found}) == (texts, {True})


@given(st.lists(LINES, min_size=2, max_size=6), st.booleans())
def test_lines_are_answers_where_they_are_as_many_as_were_asked_for(lines: list[str], is_announced: bool) -> None:
    text = "\n".join(["Here they are:"] * is_announced + lines)
    assert [one.text for one in answers_in(text, len(lines), False, False)] == lines
    assert answers_in(text, len(lines) + 2, False, False) == []


@given(st.lists(VERSES, min_size=2, max_size=4))
def test_answers_with_blank_lines_are_whole(texts: list[str]) -> None:
    numbered = "\n\n".join(f"{i}. {text}" for i, text in enumerate(texts, 1))
    assert [one.text for one in answers_in(numbered, len(texts), False, False)] == texts


@given(
    st.lists(st.tuples(TEXTS, CHANCES), min_size=2, max_size=5),
    st.sampled_from(["{i}. {t} (probability: {p})", "{i}. {t} ({p})", "{i}. {t}\nProbability: {p}", "{i}. ({p}) {t}",
                     "- {t} [p={p}]", "<response><text>{t}</text><probability>{p}</probability></response>"]),
)  # fmt: skip
def test_stated_probabilities_are_told_from_their_answers(pairs: list[tuple[str, float]], row: str) -> None:
    text = "\n".join(row.format(i=i, t=text, p=p) for i, (text, p) in enumerate(pairs, 1))
    found = answers_in(text, len(pairs), False, True)
    assert [(one.text, one.probability) for one in found] == pairs


@given(
    st.lists(LINES, min_size=2, max_size=5),
    st.sampled_from(sorted(LAYOUTS.keys() - {"blocks"})),
    st.data(),
)
def test_of_a_text_that_is_cut_no_half_answer_counts_as_whole(
    texts: list[str], layout: str, data: st.DataObject
) -> None:
    rendered = LAYOUTS[layout](texts)
    cut = rendered[: data.draw(st.integers(0, len(rendered) - 1))]
    found = answers_in(cut, len(texts), True, False)
    assert [one.text for one in found if one.is_whole] == texts[: sum(one.is_whole for one in found)]
    assert sum(not one.is_whole for one in found) <= 1


@settings(max_examples=40)
@given(st.text(), st.integers(2, 5), st.booleans(), st.booleans())
def test_any_text_at_all_is_read_without_a_fault(text: str, expected: int, is_cut: bool, stated: bool) -> None:
    for one in answers_in(text, expected, is_cut, stated):
        assert one.text == one.text.strip() != ""
        assert one.probability is None or 0 <= one.probability <= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Once upon a time there was a king. He had 3 sons.", 5),
        ("A king.\n\nA queen.\n\nA fool.", 5),
        ("", 2),
        ("I'm sorry, I can't help with that.", 3),
        ("- one bullet is no list", 3),
        ('{"setup": "Knock.", "punchline": "Who?"}', 2),
    ],
)
def test_what_is_no_list_gives_no_answers(text: str, expected: int) -> None:
    assert answers_in(text, expected, False, False) == []


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("1. a\n2. b\n\nI hope these help!", ["a", "b"]),
        ("1. a\n2. b\n\nMore:\n\n1. c\n2. d\n3. e", ["a", "b"]),
        ("1. In 1984\n3. out of turn\n2. b", ["In 1984\n3. out of turn", "b"]),
        ("1. 1. a\n2. 2. b", ["a", "b"]),
        ("- a\n- b\n  - of b\n- c", ["a", "b\n- of b", "c"]),
        ("<answer>\n1. a\n2. b\n</answer>", ["a", "b"]),
        ("1. It was (1984) then\n2. b", ["It was (1984) then", "b"]),
    ],
)
def test_what_stands_beside_a_list_is_no_part_of_it(text: str, answers: list[str]) -> None:
    assert [one.text for one in answers_in(text, len(answers), False, True)] == answers


def test_a_number_that_is_no_probability_is_none() -> None:
    assert [chance(one) for one in (0.2, "0.2", "20%", "1.5", "150%", True, "x", None, -0.1, "nan")] == [
        0.2, 0.2, 0.2, None, None, None, None, None, None, None,
    ]  # fmt: skip

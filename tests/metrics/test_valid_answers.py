"""Valid answers: what a completion is read as, what a prompt may state, and checkers that never come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import MetricError, SuiteError
from evalkit.metrics import timed_checker
from evalkit.metrics.answer_match import matcher
from evalkit.metrics.valid_answers import identity_of, listed, read_valid
from evalkit.metrics.valid_checkers import Rule, checker
from evalkit.records import Prompt
from evalkit.suite.schema import load_suite

PIECES = ("King", "Queen", "Rook|Castle", "In")


def given_by(text: str, valid: tuple[str, ...] | str = PIECES) -> str | None:
    found = read_valid(Prompt("p", "?", valid=valid))
    assert found is not None
    return found.given(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("King", "King"),
        ("  king.", "King"),
        ("**The King!**", "King"),
        ("castle", "Rook"),
        ("The answer is: *castle*.", "Rook"),
        ("Answer: King", "King"),
        ("A valid answer would be king", "King"),
        ("Sure! It's the queen.", "Queen"),
        ("I would choose Queen", "Queen"),
        ("King, which moves one square", "King"),
        ("King (the tallest)", "King"),
        ("King - or was it a queen?", "King"),
        ("\n\nKing\nQueen", "King"),
        ("in", "In"),
        # the first answer counts, and it must be an answer
        ("Kings", None),
        ("King and Queen", None),
        ("The piece in the corner", None),
        ("In chess the king", None),
        ("Pawn, not king", None),
        ("", None),
        ("...", None),
        ("King" + "g" * 500, None),
    ],
)
def test_the_first_line_is_read_whole_then_without_lead_then_up_to_a_mark(text: str, name: str | None) -> None:
    assert given_by(text) == name


@given(st.text(max_size=30))
def test_what_is_an_exact_answer_is_a_valid_one(text: str) -> None:
    """The same normal form: on one line the one can never hold where the other does not."""
    exact = matcher(Prompt("p", "?", answer="King"))
    assert exact is not None
    if len(text.splitlines()) < 2 and exact(text):
        assert given_by(text) == "King"


def test_digits_of_any_script_and_marks_of_any_keyboard_are_one_answer() -> None:
    assert given_by("７", ("7|seven",)) == "7"
    assert given_by("twenty–one", ("21|twenty-one",)) == "21"
    assert given_by("AB", ("A", "B", "AB", "O")) == "AB"
    assert given_by("a", ("A", "B", "AB", "O")) == "A"


@pytest.mark.parametrize(
    ("valid", "text", "name"),
    [
        ("prime", "The answer is 101.", "101"),
        ("prime", "1", None),
        ("prime", "2", "2"),
        ("prime", "1,000,003", "1000003"),
        ("prime", "9", None),
        ("prime", "9" * 40, None),
        ("integer:-3..10", "-3", "-3"),
        ("integer:-3..10", "11", None),
        ("integer:-3..10", "3.5", None),
        ("multiple_of:9", "1,089", "1089"),
        ("multiple_of:9", "10", None),
        ("palindrome", "Never odd or even.", "never odd or even"),
        ("palindrome", "Level.", "level"),
        ("palindrome", "aaa", None),
        (r"matches:([01]\d|2[0-3]):[0-5]\d", "It is 23:59.", "23:59"),
        (r"matches:([01]\d|2[0-3]):[0-5]\d", "24:00", None),
        ("matches:[a-f]+", "BEE", "bee"),
        ("matches:[a-f]+", "beets", None),
    ],
)
def test_checkers_tell_valid_answers_and_name_them(valid: str, text: str, name: str | None) -> None:
    assert given_by(text, valid) == name


@pytest.mark.parametrize(
    ("valid", "size"),
    [(("A", "B|C"), 2), (("A", "A"), 1), ("integer:1..100", 100), ("prime", None), ("matches:a*", None)],
)
def test_the_size_of_the_set_is_known_where_it_has_an_end(valid: tuple[str, ...] | str, size: int | None) -> None:
    found = read_valid(Prompt("p", "?", valid=valid))
    assert found is not None
    assert found.size == size


@pytest.mark.parametrize(
    ("valid", "fault"),
    [
        (("King", "the king"), "'King' and 'the king' are both read as 'king'; each answer stands there once"),
        (("King", "..."), "'...' has nothing to compare; give a word"),
        (("King|", "Queen"), "'' has nothing to compare; give a word"),
        ("primes", "there is no checker 'primes' (did you mean 'prime'?); known: integer, matches, multiple_of,"),
        ("prime:7", "prime takes no argument; leave :7 out"),
        ("integer", "integer is written integer:LOW..HIGH"),
        ("integer:9..1", "'9..1' is not a range of whole numbers, as in 1..100"),
        ("multiple_of:0", "'0' is not a whole number, 1 or more"),
        ("matches:(", "'(' is not a regular expression: missing )"),
    ],
)
def test_what_could_never_hold_is_refused_with_its_line(
    tmp_path: Path, valid: tuple[str, ...] | str, fault: str
) -> None:
    path = tmp_path / "suite.yaml"
    stated = valid if isinstance(valid, str) else [*valid]
    path.write_text(
        "name: s\ncheckpoints:\n  base: {path: 'lab:base', kind: base}\nmetrics: [valid_share]\nprompts:\n"
        f'  - {{id: a, text: "A?", valid: {stated!r}}}\n',
        encoding="utf-8",
    )
    with pytest.raises(SuiteError, match=r"suite\.yaml:\d+: prompt 'a': valid.*" + re.escape(fault)):
        load_suite(path)


def test_valid_answers_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        '{"id": "a", "text": "A?", "valid": ["x", "y|z"]}\n{"id": "b", "text": "B?", "valid": "prime"}\n{"id": "c", "text": "C?"}',
        encoding="utf-8",
    )
    (tmp_path / "rows.csv").write_text('id,text,valid\na,A?,"[""x"", ""y|z""]"\nb,B?,prime\nc,C?,\n', encoding="utf-8")
    for name in ("rows.jsonl", "rows.csv"):
        path = tmp_path / "suite.yaml"
        path.write_text(
            "name: s\ncheckpoints:\n  base: {path: 'lab:base', kind: base}\nmetrics: [valid_share]\n"
            f"prompts_from: {{file: {name}}}\n",
            encoding="utf-8",
        )
        assert [prompt.valid for prompt in load_suite(path).prompts] == [("x", "y|z"), "prime", ()]


def test_another_set_is_another_score_in_the_cache_and_none_leaves_hashes_alone() -> None:
    one, two = Prompt("a", "A?", valid=("x",)), Prompt("a", "A?", valid="matches:x")
    assert len({identity_of(one), identity_of(two), identity_of(Prompt("a", "A?"))}) == 3
    assert "valid" not in Prompt("a", "A?").content()
    assert listed(two) == []


@checker("slow_words", takes="WORD", version="3")
def _slow_words(argument: str) -> Rule:
    """A checker of another package, as far as evalkit can tell: its module is not evalkit's."""

    def name_of(form: str) -> str | None:
        print("what a checker prints is no reply")
        while form == "endless":
            pass
        if form == "bad":
            raise ValueError("no such word")
        return argument if form.startswith(argument) else None

    return Rule(name_of)


def test_a_checker_of_another_package_that_never_comes_back_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given_by("redder", "slow_words:red") == "red"
    assert given_by("blue", "slow_words:red") is None
    [process] = timed_checker._processes.values()
    monkeypatch.setattr(timed_checker, "SECONDS", 0.3)
    with pytest.raises(MetricError, match=r"prompt 'p': valid 'slow_words:red': checker 'slow_words' of .* took over"):
        given_by("endless", "slow_words:red")
    assert process.poll() is not None, "nothing is left running"
    monkeypatch.undo()
    with pytest.raises(MetricError, match="failed on 'bad': ValueError\\('no such word'\\)"):
        given_by("bad", "slow_words:red")
    assert given_by("bluest", "slow_words:blue") == "blue", "one process serves all arguments, again after a fault"
    assert identity_of(Prompt("p", "?", valid="slow_words:red"))[-1] == "3"


def test_a_slow_expression_is_refused_in_time() -> None:
    with pytest.raises(MetricError, match=r"prompt 'p': valid 'matches:\(a\|aa\)\+b': it took over 1 s"):
        given_by("a" * 60, "matches:(a|aa)+b")

"""Task checks see in a text what they promise to see, and nothing where nothing is wrong."""

from __future__ import annotations

import random

import pytest

from evalkit.errors import MetricError
from evalkit.metrics.task_checks import read_checks, share_passed
from evalkit.records import Prompt

ASKED = "Write the first line of a story set in a lighthouse."
LINE = "The keeper had not spoken since the lamp went out."

# check, text, whether it passes
CASES = [
    ("a line", "one_line", LINE, True),
    ("two lines", "one_line", f"{LINE}\nNobody came.", False),
    ("as many words as are allowed", "max_words:10", LINE, True),
    ("a word too many", "max_words:9", LINE, False),
    ("enough words", "min_words:10", LINE, True),
    ("a word too few", "min_words:11", LINE, False),
    ("a sentence", "sentence", LINE, True),
    ("a sentence that is spoken", "sentence", '"Wake up," said the sea.', True),
    ("a quotation", "sentence", "“Wake up!”", True),
    ("a sentence that begins with a number", "sentence", "12 lamps burned that night.", True),
    ("a sentence without capitals in its script", "sentence", "灯台守は何も言わなかった。", True),
    ("a sentence cut off", "sentence", "The keeper had not spoken since the", False),
    ("a sentence that begins in the middle", "sentence", "keeper had not spoken.", False),
    ("prose", "prose", LINE, True),
    ("prose with a name in it", "prose", "Old McKinley watched the tide come in over the stones.", True),
    ("a link", "prose", "See https://example.org for more.", False),
    ("a tag", "prose", "The keeper <br> had not spoken.", False),
    ("the frame goes on", "prose", "The keeper.\n\nAnswer: the lamp.", False),
    ("words of no language", "prose", "fooBar x1z qux|| @@ ~k the", False),
    ("a word that is asked for", "mentions:lamp|tower", LINE, True),
    ("its beginning, whatever the case", "mentions:keep", "Keepers sleep late.", True),
    ("not inside of another", "mentions:lamp", "The clamp held.", False),
    ("a pattern", "matches:(?i)\\blamp\\b", LINE, True),
    ("no match", "matches:\\bLamp\\b", LINE, False),
    ("English", "language:en", LINE, True),
    ("French", "language:fr", "Le gardien n'avait rien dit depuis que la lampe s'était éteinte.", True),
    ("French where English is asked", "language:en", "Le gardien n'avait rien dit depuis que la lampe s'est éteinte.", False),
    ("Chinese where English is asked", "language:en", "灯塔看守人自从灯灭后就没有说过话。", False),
    ("too short to be placed", "language:en", "Pray.", True),
    ("short, and not very Venetian", "language:en", "A grand piano.", True),
    ("short, and of another language", "language:en", "Le pain est bon", False),
    ("English words at random", "language:en", "critic brewed erupted billion precipitated arteries popularity web", False),
    ("a list in English", "language:en", "Bread, honey, butter, milk, coffee and a little of the morning.", True),
    ("an own answer", "no_echo", LINE, True),
    ("the prompt said back", "no_echo", f"Sure: {ASKED.upper()}", False),
    ("a piece of the prompt", "no_echo", "the first line of a story", False),
    ("an answer", "no_refusal", LINE, True),
    ("a refusal", "no_refusal", "I'm sorry, but I can't help with that.", False),
    ("a refusal of a machine", "no_refusal", "As an AI language model, I do not have feelings.", False),
    ("a short refusal", "no_refusal", "I cannot write that.", False),
    ("a machine that is unable", "no_refusal", "I'm unable to provide creative writing at this time.", False),
    ("a refusal in another language", "no_refusal", "Lo siento, pero no puedo ayudarte.", False),
    ("somebody who is afraid", "no_refusal", "I'm afraid of the dark, said the lamp.", True),
    ("somebody who cannot sleep", "no_refusal", "I cannot sleep when the sea is silent.", True),
    ("somebody who apologises", "no_refusal", "Sorry to bother you, the lamp is out.", True),
    ("a short no", "no_refusal", "Sorry, no.", False),
    ("what is beyond it", "no_refusal", "Sorry, but that is beyond me.", False),
    ("what it can not do", "no_refusal", "I'm afraid that's not something I can do.", False),
    ("the same without an apology", "no_refusal", "That is not something I'm able to do.", False),
    ("a shop that is closed", "no_refusal", "Sorry, we're closed, said the sign.", True),
    ("a no in a story", "no_refusal", "Sorry, no room at the inn tonight.", True),
    ("a street that is beyond", "no_refusal", "That is beyond the hills, said the lamp.", True),
    ("a refrain", "no_loop", "Never, never, never leave the lamp.", True),
    ("a word over and over", "no_loop", "the the the the", False),
    ("words over and over", "no_loop", "He ran and ran away and ran away and ran away.", False),
    ("a sentence over and over", "no_loop", f"{LINE} {LINE} {LINE}", False),
    ("signs over and over", "no_loop", "-=-=-=-=-=-=-=-=-=-=", False),
]  # fmt: skip


@pytest.mark.parametrize(("check", "text", "passes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_check_sees_what_it_is_for(check: str, text: str, passes: bool) -> None:
    [found] = read_checks(Prompt("p", ASKED, checks=(check,)))
    assert found.passes(text) is passes


MISTAKES = [
    ("one_lin", "there is no check 'one_lin' (did you mean 'one_line'?)"),
    ("max_words", "max_words is written max_words:NUMBER"),
    ("max_words:many", "'many' is not a number of words"),
    ("max_words:0", "'0' is not a number of words"),
    ("one_line:yes", "one_line takes no argument"),
    ("matches:(", "'(' is not a regular expression"),
    ("language:xx", "there is no language 'xx'"),
    ("language:EN", "there is no language 'EN' (did you mean 'en'?)"),
    ("language:english", "(did you mean 'en'?)"),
    ("language:en-GB", "(did you mean 'en'?)"),
    ("mentions:|", "it names no word"),
]


@pytest.mark.parametrize(("check", "message"), MISTAKES, ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_named(check: str, message: str) -> None:
    with pytest.raises(MetricError) as caught:
        read_checks(Prompt("p", ASKED, checks=(check,)))
    assert message in str(caught.value)
    assert "prompt 'p'" in str(caught.value)


def test_checks_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(MetricError, match=r"prompt 'p': checks min_words:50 and max_words:3 contradict"):
        read_checks(Prompt("p", ASKED, checks=("min_words:50", "one_line", "max_words:3")))
    assert len(read_checks(Prompt("p", ASKED, checks=("min_words:3", "max_words:3")))) == 2


def test_the_share_is_of_the_checks_that_are_passed() -> None:
    checks = read_checks(Prompt("p", ASKED, checks=("one_line", "sentence", "max_words:5", "no_echo")))
    assert share_passed(checks, "The lamp burned.") == 1
    assert share_passed(checks, f"  {LINE} ") == 0.75
    assert share_passed(checks, "a lamp\nwithout an end, and of too many words") == 0.25


@pytest.mark.parametrize("text", ["", " \n", ASKED, "lamp lamp lamp lamp", "I can't help with that."])
def test_what_is_no_answer_passes_nothing(text: str) -> None:
    checks = read_checks(Prompt("p", ASKED, checks=("one_line", "no_echo", "no_loop", "no_refusal", "max_words:99")))
    assert share_passed(checks, text) == 0


def test_a_pattern_that_never_ends_is_an_error() -> None:
    [check] = read_checks(Prompt("p", ASKED, checks=("matches:(a|aa)+$",)))
    with pytest.raises(MetricError, match="took over 1 s"):
        check.passes("a" * 60 + "b")


def test_shuffled_words_are_no_sentence() -> None:
    [check] = read_checks(Prompt("p", ASKED, checks=("sentence",)))
    words = LINE.split()
    shuffled = [" ".join(random.Random(seed).sample(words, len(words))) for seed in range(200)]
    assert sum(check.passes(text) for text in shuffled) < 0.05 * len(shuffled)

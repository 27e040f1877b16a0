"""Parts of a suite's prompts: tags that say something of enough prompts, topics where there are none."""

from __future__ import annotations

from evalkit.analysis.prompt_parts import MOST_TAGS, parts_of
from evalkit.records import Message, Prompt


def tagged(*tags: tuple[str, ...], cluster: str | None = None) -> list[Prompt]:
    return [Prompt(f"p{row}", f"Question {row}", of_prompt, cluster=cluster) for row, of_prompt in enumerate(tags)]


SUBJECTS = {
    "poem": ["the sea", "winter", "a lost key", "my brother", "rain", "old age", "the moon"],
    "capital": ["France", "Peru", "Kenya", "Japan", "Norway", "Chile", "Ghana"],
}


def untagged() -> list[Prompt]:
    asked = [f"Write a short poem with rhymes about {what}." for what in SUBJECTS["poem"]]
    asked += [f"Which city is the capital of {what}?" for what in SUBJECTS["capital"]]
    mixed = [asked[place // 2 + 7 * (place % 2)] for place in range(14)]
    return [Prompt(f"q{row}", text) for row, text in enumerate(mixed)]


def test_a_tag_is_a_part_where_enough_prompts_have_it_and_enough_have_not() -> None:
    prompts = tagged(*[("a", "all", "rare")] * 4, ("a", "all"), *[("b", "all")] * 5)
    parts = parts_of(prompts)
    assert [(part.kind, part.name, len(part.prompts)) for part in parts] == [("tag", "a", 5), ("tag", "b", 5)]
    assert parts[0].prompts == ("p0", "p1", "p2", "p3", "p4")


def test_tags_of_the_same_prompts_are_one_part() -> None:
    parts = parts_of(tagged(*[("verse", "poem")] * 6, *[("prose",)] * 6))
    assert [part.name for part in parts] == ["verse, poem", "prose"]


def test_five_wordings_of_one_question_are_one_prompt_of_a_tag() -> None:
    together = tagged(*[("a",)] * 5, cluster="one")
    alone = [Prompt(f"other{row}", "?", ("b",)) for row in range(6)]
    # What is left of b's six is one question too.
    assert parts_of([*together, *alone]) == ()


def test_of_very_many_tags_the_largest_are_looked_at() -> None:
    tags = [(f"t{row // 5}", f"u{row // 6}") for row in range(5 * 60)]
    parts = parts_of(tagged(*tags))
    assert len(parts) == MOST_TAGS
    assert all(part.name.startswith("u") for part in parts)


def test_prompts_without_tags_fall_into_topics_that_are_called_by_their_words() -> None:
    prompts = untagged()
    parts = parts_of(prompts)
    assert {part.kind for part in parts} == {"topic"}
    by_id = {prompt.id: prompt.text for prompt in prompts}
    subjects = [{"poem" if "poem" in by_id[name] else "capital" for name in part.prompts} for part in parts]
    assert sorted(map(sorted, subjects)) == [["capital"], ["poem"]]
    for part, [subject] in zip(parts, subjects, strict=True):
        assert subject in part.name.split(", ")
        assert len(part.prompts) == 7
    assert parts_of(prompts) == parts
    assert parts_of(prompts, with_topics=False) == ()


def test_topics_of_conversations_go_by_what_is_asked_last() -> None:
    greeting = (Message("user", "Hello, I like poems about capitals."), Message("assistant", "Good day."))
    prompts = untagged()
    turned = [Prompt(one.id, f"...{one.text}", messages=(*greeting, Message("user", one.text))) for one in prompts]
    assert parts_of(turned) == parts_of(prompts)


def test_few_prompts_and_scripts_that_the_encoder_never_learned_have_no_topics() -> None:
    assert parts_of(untagged()[:11]) == ()
    assert parts_of([Prompt(f"p{row}", f"ქართული ტექსტი {row}") for row in range(20)]) == ()


def test_a_suite_of_one_prompt_has_no_parts() -> None:
    assert parts_of([Prompt("only", "One?", ("a",))]) == ()

"""What both local engines promise of every call: order, seeds, ends, stop strings, log-probs, traps of the folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.errors import EngineError
from evalkit.inference.engines.base import Engine
from evalkit.records import Completion, Rendered, Sampling

EOS, SECOND_END = 2, 7
Make = Callable[..., Sampling]


def ignore(completions: int, tokens: int) -> None:
    pass


def content(completions: list[Completion]) -> list[tuple[str, tuple[int, ...], tuple[float, ...]]]:
    return [(done.text, done.token_ids, done.logprobs) for done in completions]


def test_completions_come_in_the_order_of_prompts_and_slots(
    engine: Engine, prompts: list[Rendered], sampling: Make
) -> None:
    done = engine.sample(prompts, sampling(n=3), 1, ignore)
    assert [(one.prompt_id, one.sample_index) for one in done] == [
        (prompt.prompt_id, slot) for prompt in prompts for slot in range(3)
    ]


def test_a_shard_sampled_alone_equals_itself_after_another_bit_for_bit(
    engine: Engine, prompts: list[Rendered], sampling: Make
) -> None:
    alone = engine.sample(prompts[2:], sampling(n=8), 5, ignore)
    engine.sample(prompts[:3], sampling(n=5, temperature=0.7), 6, ignore)
    engine.logprobs([(prompts[2].token_ids, (9, 9, 9))])
    assert content(engine.sample(prompts[2:], sampling(n=8), 5, ignore)) == content(alone)


def test_another_seed_gives_other_completions(engine: Engine, prompts: list[Rendered], sampling: Make) -> None:
    first = engine.sample(prompts[:1], sampling(n=8), 5, ignore)
    for seed in (6, 13, 2**32 - 1):
        assert content(engine.sample(prompts[:1], sampling(n=8), seed, ignore)) != content(first)


def test_the_children_of_a_prompt_and_twin_prompts_are_distinct_draws(
    engine: Engine, prompts: list[Rendered], sampling: Make
) -> None:
    twins = [prompts[3], replace(prompts[3], prompt_id="twin"), replace(prompts[3], prompt_id="triplet")]
    done = engine.sample(twins, sampling(n=16, temperature=1.5), 100, ignore)
    full = [one.token_ids for one in done if one.finish_reason == "length"]
    assert len(full) > 10
    assert len(set(full)) == len(full)


def test_nearby_seeds_share_no_draws(engine: Engine, prompts: list[Rendered], sampling: Make) -> None:
    done = [
        one.token_ids
        for seed in (100, 101, 102)
        for one in engine.sample([prompts[3]], sampling(n=8, temperature=1.5), seed, ignore)
        if one.finish_reason == "length"
    ]
    assert len(set(done)) == len(done) > 5


def test_temperature_zero_is_greedy_and_the_same_for_every_seed_and_slot(
    engine: Engine, prompts: list[Rendered], sampling: Make
) -> None:
    done = engine.sample(prompts, sampling(n=3, temperature=0.0), 1, ignore)
    again = engine.sample(prompts, sampling(n=3, temperature=0.0), 2, ignore)
    assert content(done) == content(again)
    for prompt in prompts:
        [tokens] = {one.token_ids for one in done if one.prompt_id == prompt.prompt_id}
        law = engine.logprobs([(prompt.token_ids, (token,)) for token in range(64)])
        assert tokens[0] == max(range(64), key=lambda token: law[token][0])


def test_a_completion_ends_at_any_end_token_of_the_folder_and_keeps_it(
    engine: Engine, prompts: list[Rendered], sampling: Make
) -> None:
    done = engine.sample(prompts, sampling(n=64, max_tokens=24), 3, ignore)
    last = {one.token_ids[-1] for one in done if one.finish_reason == "stop"}
    assert last == {EOS, SECOND_END}
    for one in done:
        assert not {EOS, SECOND_END} & set(one.token_ids[:-1])
        assert (one.finish_reason == "length") == (one.token_ids[-1] not in last)
        assert len(one.token_ids) == 24 or one.finish_reason == "stop"
        assert "<eos>" not in one.text


def test_an_end_drawn_at_once_is_an_empty_completion(engine: Engine, prompts: list[Rendered], sampling: Make) -> None:
    done = engine.sample(prompts[:1], sampling(n=256, max_tokens=4), 3, ignore)
    empty = [one for one in done if len(one.token_ids) == 1 and one.finish_reason == "stop"]
    assert empty
    assert {(one.text, len(one.logprobs)) for one in empty} == {("", 1)}


def test_one_token_is_a_completion(engine: Engine, prompts: list[Rendered], sampling: Make) -> None:
    done = engine.sample(prompts, sampling(n=8, max_tokens=1), 3, ignore)
    assert {len(one.token_ids) for one in done} == {len(one.logprobs) for one in done} == {1}


def test_a_stop_string_ends_the_text_before_it(engine: Engine, prompts: list[Rendered], sampling: Make) -> None:
    free = engine.sample(prompts, sampling(n=32), 4, ignore)
    stops = ("w1", "5 w", "w33")
    done = engine.sample(prompts, sampling(n=32, stop=stops), 4, ignore)
    assert all(stop not in one.text for one in done for stop in stops)
    assert all(one.finish_reason == "stop" or len(one.token_ids) == 16 for one in done)
    assert sum(len(one.token_ids) for one in done) < sum(len(one.token_ids) for one in free)
    assert all(len(one.token_ids) == len(one.logprobs) for one in done)


def test_text_is_that_of_the_tokens(engine: Engine, prompts: list[Rendered], sampling: Make) -> None:
    for one in engine.sample(prompts, sampling(), 4, ignore):
        words = [f"w{token - 4}" for token in one.token_ids if token > 3 and token != SECOND_END]
        assert one.text.replace("<unk>", "").split() == words


def test_text_is_decoded_alike_with_and_without_stop_strings(
    engine: Engine, prompts: list[Rendered], sampling: Make
) -> None:
    plain = engine.sample(prompts, sampling(n=8), 4, ignore)
    watched = engine.sample(prompts, sampling(n=8, stop=("never drawn",)), 4, ignore)
    assert content(watched) == content(plain)


def test_reported_logprobs_are_the_teacher_forced_ones(engine: Engine, prompts: list[Rendered], sampling: Make) -> None:
    settings = sampling(n=8, temperature=0.6, top_p=0.8, min_p=0.02)
    done = engine.sample(prompts, settings, 8, ignore)
    prompt_of = {prompt.prompt_id: prompt.token_ids for prompt in prompts}
    scored = engine.logprobs([(prompt_of[one.prompt_id], one.token_ids) for one in done])
    for one, given in zip(done, scored, strict=True):
        assert one.logprobs == pytest.approx(given, abs=1e-4)


def test_logprobs_of_all_next_tokens_add_up_to_one(engine: Engine, prompts: list[Rendered]) -> None:
    import math

    law = engine.logprobs([(prompts[0].token_ids, (token,)) for token in range(64)])
    assert sum(math.exp(one) for (one,) in law) == pytest.approx(1, abs=1e-5)


def test_logprobs_of_nothing_are_nothing(engine: Engine, prompts: list[Rendered]) -> None:
    assert engine.logprobs([]) == []
    assert engine.logprobs([(prompts[0].token_ids, ())]) == [()]


def test_a_sequence_as_long_as_the_engine_was_opened_for(engine: Engine, sampling: Make) -> None:
    prompt = Rendered("long", "", (1, *range(20, 51)))
    done = engine.sample([prompt], sampling(max_tokens=16, n=16, temperature=2.0), 8, ignore)
    full = [one for one in done if len(one.token_ids) == 16]
    scored = engine.logprobs([(prompt.token_ids, one.token_ids) for one in full])
    assert [len(given) for given in scored] == [16] * len(full)


def test_progress_adds_up_to_all_completions_and_tokens(
    engine: Engine, prompts: list[Rendered], sampling: Make
) -> None:
    heard: list[tuple[int, int]] = []
    done = engine.sample(prompts, sampling(n=300), 8, lambda *news: heard.append(news))
    assert sum(completions for completions, _ in heard) == len(done)
    assert sum(tokens for _, tokens in heard) == sum(len(one.token_ids) for one in done)
    assert len(heard) > 1


@pytest.mark.vllm
@pytest.mark.slow
def test_a_refused_request_leaves_nothing_behind(vllm_engine: Engine, prompts: list[Rendered], sampling: Make) -> None:
    before = vllm_engine.sample(prompts, sampling(), 5, ignore)
    for refused, why in [((1,) * 500, "length 500"), ((1, 64_000), "64000"), ((), "empty")]:
        with pytest.raises(EngineError, match=why):
            vllm_engine.sample([*prompts, Rendered("bad", "", refused)], sampling(), 5, ignore)
    assert content(vllm_engine.sample(prompts, sampling(), 5, ignore)) == content(before)


def test_a_special_token_that_tells_thinking_apart_is_shown_and_no_other(
    engine: Engine, tiny: Checkpoint, prompts: list[Rendered], sampling: Make
) -> None:
    hidden = engine.sample(prompts, sampling(n=32), 4, ignore)
    engine.turn_to(replace(tiny, shown=(0,)))
    try:
        told = engine.sample(prompts, sampling(n=32), 4, ignore)
        stopped = engine.sample(prompts, sampling(n=32, stop=("w5", "<pad>")), 4, ignore)
    finally:
        engine.turn_to(tiny)
    assert [one.token_ids for one in told] == [one.token_ids for one in hidden]
    assert all("<pad>" not in one.text for one in hidden)
    marked = [(one, plain) for one, plain in zip(told, hidden, strict=True) if 0 in one.token_ids]
    assert len(marked) > 5
    for one, plain in marked:
        before = one.text.split("<pad>")[0].split()
        assert len(before) == sum(
            token not in (1, 2, 3, SECOND_END) for token in one.token_ids[: one.token_ids.index(0)]
        )
        assert one.text.replace("<pad>", " ").split() == plain.text.split()
        assert "<bos>" not in one.text
    assert all(one.text == plain.text for one, plain in zip(told, hidden, strict=True) if 0 not in one.token_ids)
    assert all("<pad>" not in one.text and "w5" not in one.text for one in stopped)
    assert all(one.finish_reason == "stop" or 0 not in one.token_ids for one in stopped)

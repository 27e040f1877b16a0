"""Whole laws along given texts: those of the plain model, whatever the batch and however the positions are cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.inference.engines import teacher_forcing
from evalkit.inference.engines.base import DistributionEngine, Pair
from evalkit.inference.engines.teacher_forcing import TeacherForcing
from evalkit.records import RANKS

BOS, EOS, VOCABULARY = 1, 2, 64
FLOAT32 = 5e-6
"""Ten steps of float32 at log-probs near 8, which is what sums over layers and vocabulary may lose."""
PAIRS: list[Pair] = [
    ((BOS, 10, 11, 12), (5, 6, 7, EOS)),
    ((BOS,), (9,)),
    ((BOS, *range(20, 40)), tuple(range(8, 26))),
    ((BOS, 10), (40, 41, EOS)),
]
CLOSING = [token % 3 == 0 for token in range(VOCABULARY)]


@pytest.fixture(scope="module")
def model(tiny: Checkpoint) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny.location).eval()


@pytest.fixture
def teacher(model: Any) -> TeacherForcing:
    return TeacherForcing(model, "cpu", VOCABULARY)


def plain_laws(model: Any, pair: Pair) -> np.ndarray:
    """[T + 1, V] log-probs before each completion token and after the last, of one text alone."""
    prompt, completion = pair
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) - 1 :]
    found: np.ndarray = logits.double().log_softmax(-1).numpy()
    return found


def test_log_probs_are_the_plain_models(model: Any, teacher: TeacherForcing) -> None:
    for pair, found in zip(PAIRS, teacher.logprobs(PAIRS), strict=True):
        laws = plain_laws(model, pair)
        assert found == pytest.approx([laws[t, token] for t, token in enumerate(pair[1])], abs=FLOAT32)


def test_laws_are_the_plain_models(model: Any, teacher: TeacherForcing) -> None:
    for pair, found in zip(PAIRS, teacher.next_token_distributions(PAIRS), strict=True):
        laws = plain_laws(model, pair)[:-1]
        assert found.entropy == pytest.approx(-(np.exp(laws) * laws).sum(-1), abs=FLOAT32)
        assert found.logprobs_at_ranks.shape == (len(pair[1]), len(RANKS))
        known = [rank for rank in RANKS if rank <= VOCABULARY]
        ordered = -np.sort(-laws, axis=-1)
        assert found.logprobs_at_ranks[:, : len(known)] == pytest.approx(ordered[:, np.array(known) - 1], abs=FLOAT32)
        assert np.isnan(found.logprobs_at_ranks[:, len(known) :]).all()


def test_an_opening_is_the_text_and_then_any_closing_token(model: Any, teacher: TeacherForcing) -> None:
    for pair, found in zip(PAIRS, teacher.prefix_logprobs(PAIRS, CLOSING), strict=True):
        laws = plain_laws(model, pair)
        given = sum(laws[t, token] for t, token in enumerate(pair[1]))
        assert found == pytest.approx(given + np.log(np.exp(laws[-1])[CLOSING].sum()), abs=FLOAT32)


@pytest.fixture
def forwards(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """(rows, positions, of which logits were made) of every call of the model."""
    found: list[tuple[int, int, int]] = []
    plain = model.forward

    def watched(*given: Any, **named: Any) -> Any:
        output = plain(*given, **named)
        if named:
            found.append((*named["input_ids"].shape, output.logits.shape[1]))
        return output

    monkeypatch.setattr(model, "forward", watched)
    return found


PROMPT = (BOS, *range(20, 40))
OF_ONE_PROMPT: list[Pair] = [
    (PROMPT, completion) for completion in ((5,), (6, 7, 8, 9, 11, 12), (), (9, 10), (5, 8, EOS), (9, 10))
]


@pytest.mark.parametrize("positions", [1, 7, 10_000])
def test_a_prompt_is_read_once_for_all_that_it_is_answered_with(
    model: Any,
    teacher: TeacherForcing,
    forwards: list[tuple[int, int, int]],
    monkeypatch: pytest.MonkeyPatch,
    positions: int,
) -> None:
    monkeypatch.setattr(teacher_forcing, "BATCH_LOGITS", positions * VOCABULARY)
    monkeypatch.setattr(teacher_forcing, "SPARED", 5 * len(PROMPT))
    pairs = [*OF_ONE_PROMPT[:2], PAIRS[0], *OF_ONE_PROMPT[2:]]
    laws = [plain_laws(model, pair) for pair in pairs]
    given = [[law[t, token] for t, token in enumerate(pair[1])] for law, pair in zip(laws, pairs, strict=True)]
    forwards.clear()
    found = teacher.logprobs(pairs)
    assert [positions for _, positions, _ in forwards].count(len(PROMPT)) == 1
    assert max(rows * logits for rows, _, logits in forwards) <= positions
    for one, expected in zip(found, given, strict=True):
        assert one == pytest.approx(expected, abs=FLOAT32)
    for law, read in zip(laws, teacher.next_token_distributions(pairs), strict=True):
        assert read.entropy == pytest.approx(-(np.exp(law[:-1]) * law[:-1]).sum(-1), abs=FLOAT32)
    for law, expected, opening in zip(laws, given, teacher.prefix_logprobs(pairs, CLOSING), strict=True):
        assert opening == pytest.approx(sum(expected) + np.log(np.exp(law[-1])[CLOSING].sum()), abs=FLOAT32)


GOING_ON = {7: (8, 9), 12: (5,), 30: (8, 9, EOS)}


@pytest.mark.parametrize("positions", [1, 7, 10_000])
def test_two_tokens_behind_a_completion_are_read_after_its_prompt_was_once(
    model: Any,
    teacher: TeacherForcing,
    forwards: list[tuple[int, int, int]],
    monkeypatch: pytest.MonkeyPatch,
    positions: int,
) -> None:
    monkeypatch.setattr(teacher_forcing, "BATCH_LOGITS", positions * VOCABULARY)
    pairs = [*OF_ONE_PROMPT[:2], PAIRS[0], *OF_ONE_PROMPT[3:]]
    expected = []
    for prompt, completion in pairs:
        law = plain_laws(model, (prompt, completion))
        given = sum(law[t, token] for t, token in enumerate(completion))
        for first, second in GOING_ON.items():
            after = plain_laws(model, (prompt, (*completion, first)))[-1, list(second)]
            expected.append(given + law[-1, first] + np.log(np.exp(after).sum()))
    forwards.clear()
    found = teacher.branches(pairs, GOING_ON)
    assert np.ravel(found) == pytest.approx(expected, abs=FLOAT32)
    assert [positions for _, positions, _ in forwards].count(len(PROMPT)) == 1
    assert max(rows * logits for rows, _, logits in forwards) <= max(positions, len(GOING_ON))


def test_a_prompt_that_spares_little_is_read_among_others(
    teacher: TeacherForcing, forwards: list[tuple[int, int, int]]
) -> None:
    assert 5 * len(PROMPT) < teacher_forcing.SPARED
    teacher.logprobs([*OF_ONE_PROMPT, *PAIRS])
    assert sum(rows for rows, _, _ in forwards) == len(OF_ONE_PROMPT) + len(PAIRS)


@pytest.fixture
def sizes(teacher: TeacherForcing, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers in each block of logits that was made."""
    found: list[int] = []
    plain = teacher._blocks

    def watched(*given: Any) -> Iterator[tuple[int, torch.Tensor]]:
        for begin, logits in plain(*given):
            found.append(logits.numel())
            yield begin, logits

    monkeypatch.setattr(teacher, "_blocks", watched)
    return found


@pytest.mark.parametrize("positions", [1, 3, 7])
def test_positions_in_blocks_give_the_same_and_never_exceed_the_bound(
    teacher: TeacherForcing, sizes: list[int], monkeypatch: pytest.MonkeyPatch, positions: int
) -> None:
    asked = [teacher.logprobs, teacher.next_token_distributions, lambda pairs: teacher.prefix_logprobs(pairs, CLOSING)]
    whole = [ask(PAIRS) for ask in asked]
    sizes.clear()
    monkeypatch.setattr(teacher_forcing, "BATCH_LOGITS", positions * VOCABULARY)
    logprobs, laws, openings = (ask(PAIRS) for ask in asked)
    assert max(sizes) <= positions * VOCABULARY
    assert len(sizes) >= 3 * sum(len(completion) for _, completion in PAIRS) / positions
    assert np.concatenate(logprobs) == pytest.approx(np.concatenate(whole[0]), abs=FLOAT32)
    assert openings == pytest.approx(whole[2], abs=FLOAT32)
    for found, expected in zip(laws, whole[1], strict=True):
        assert found.entropy == pytest.approx(expected.entropy, abs=FLOAT32)
        assert found.logprobs_at_ranks == pytest.approx(expected.logprobs_at_ranks, abs=FLOAT32, nan_ok=True)


def test_a_law_that_rules_tokens_out_has_an_entropy() -> None:
    law = torch.tensor([[[0.5, 0.5, 0.0]]]).log()
    found = teacher_forcing._entropy_and_ranks(law, torch.zeros(1, 1))
    assert found[0, 0, 0].item() == pytest.approx(np.log(2))


def test_an_engine_in_its_child_process_reads_the_same(
    transformers_engine: DistributionEngine, teacher: TeacherForcing
) -> None:
    for found, expected in zip(
        transformers_engine.next_token_distributions(PAIRS), teacher.next_token_distributions(PAIRS), strict=True
    ):
        assert found.entropy == pytest.approx(expected.entropy, abs=FLOAT32)
        assert found.logprobs_at_ranks == pytest.approx(expected.logprobs_at_ranks, abs=FLOAT32, nan_ok=True)
    # Every word of the tiny tokenizer stands by itself, so that whatever follows leaves it whole.
    whole = [sum(row) for row in teacher.logprobs(PAIRS)]
    assert transformers_engine.prefix_logprobs(PAIRS) == pytest.approx(whole, abs=1e-5)

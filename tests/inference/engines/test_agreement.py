"""The two local engines sample the same law, and it is the checkpoint's exact law.

Every test here is a hypothesis test with fixed seeds, so it gives the same answer on every run; ALPHA is the chance
that new seeds, or a new version of a library, would fail it though all is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from scipy import special, stats
from transformers import AutoModelForCausalLM

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.inference.engines.base import Engine
from evalkit.records import Completion, Rendered, Sampling

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
ALPHA = 1e-3
VOCABULARY = 64
EOS, SECOND_END = 2, 7
Make = Callable[..., Sampling]
LAWS = {
    "raw": {},
    "cooler": {"temperature": 0.7},
    "hotter": {"temperature": 1.6},
    "nucleus": {"top_p": 0.8},
    "min_p": {"min_p": 0.1},
    "top_k": {"top_k": 9},
    "top_k, then top_p": {"top_k": 9, "top_p": 0.7},
    "repeats cost": {"repetition_penalty": 1.7},
    "all at once": {"temperature": 1.4, "top_p": 0.9, "min_p": 0.05, "top_k": 30, "repetition_penalty": 0.8},
}


PENALTIES = {
    "presence": {"presence_penalty": 1.5},
    "frequency": {"frequency_penalty": -1.2},
    "repetition": {"repetition_penalty": 1.7},
    "all penalties": {"presence_penalty": 0.9, "frequency_penalty": 0.7, "repetition_penalty": 1.5},
}
Logits = Callable[[Sequence[Sequence[int]]], np.ndarray]


def ignore(completions: int, tokens: int) -> None:
    pass


@pytest.fixture(scope="module")
def logits(tiny: Checkpoint) -> Callable[[Sequence[Sequence[int]]], np.ndarray]:
    """Of prefixes of one length: [prefixes, vocabulary] logits of the next token, from the model itself."""
    model = AutoModelForCausalLM.from_pretrained(tiny.location, dtype=torch.float32)

    def of(prefixes: Sequence[Sequence[int]]) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(model(torch.tensor(prefixes)).logits[:, -1].double())

    return of


def law_of(logits: np.ndarray, sampling: Sampling, prompt: Sequence[int], drawn: Sequence[int] = ()) -> np.ndarray:
    """The law after penalties, temperature, min_p, top_k and top_p, written down a second time, in numpy."""
    seen = np.isin(np.arange(VOCABULARY), [*prompt, *drawn])
    by = np.where(seen, sampling.repetition_penalty, 1.0)
    logits = np.where(logits > 0, logits / by, logits * by)
    counts = np.bincount(np.asarray(drawn, dtype=int), minlength=VOCABULARY)
    logits = logits - sampling.frequency_penalty * counts - sampling.presence_penalty * (counts > 0)
    law = special.softmax(logits / sampling.temperature)
    law = np.where(law < sampling.min_p * law.max(), 0, law)
    if sampling.top_k:
        law = np.where(law < np.sort(law)[-sampling.top_k], 0, law)
    law = law / law.sum()
    order = np.argsort(-law)
    before = np.cumsum(law[order]) - law[order]
    law[order[before >= sampling.top_p]] = 0
    return np.asarray(law / law.sum())


def p_of_law(counts: np.ndarray, law: np.ndarray) -> float:
    """Chi-square against an exact law; outcomes expected less than five times are taken together."""
    assert counts[law == 0].sum() == 0, "a token was drawn that the law excludes"
    expected = law * counts.sum()
    rare = expected < 5
    observed = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    keep = expected > 0
    return float(stats.chisquare(observed[keep], expected[keep], sum_check=False).pvalue)


def first_tokens(done: list[Completion]) -> np.ndarray:
    return np.bincount([one.token_ids[0] for one in done], minlength=VOCABULARY)


def test_teacher_forced_logprobs_match_to_a_thousandth(
    vllm_engine: Engine, transformers_engine: Engine, prompts: list[Rendered]
) -> None:
    random = np.random.default_rng(0)
    pairs = [
        (prompt.token_ids, tuple(random.integers(0, VOCABULARY, size=length).tolist()))
        for prompt in prompts
        for length in (1, 5, 20)
    ]
    theirs = np.concatenate(vllm_engine.logprobs(pairs))
    ours = np.concatenate(transformers_engine.logprobs(pairs))
    assert np.abs(theirs - ours).max() < 1e-3
    assert ours.std() > 0.5, "a flat law would match anything"


@pytest.mark.parametrize("changed", LAWS.values(), ids=LAWS.keys())
def test_first_tokens_follow_the_exact_law(
    engine: Engine, prompts: list[Rendered], sampling: Make, logits: Logits, changed: dict[str, float]
) -> None:
    settings = sampling(n=4096, max_tokens=1, **changed)
    prompt = prompts[2].token_ids
    done = engine.sample(prompts[2:3], settings, 11, ignore)
    [own] = logits([prompt])
    assert p_of_law(first_tokens(done), law_of(own, settings, prompt)) > ALPHA


@pytest.mark.parametrize("changed", [{}, *PENALTIES.values()], ids=["raw", *PENALTIES])
def test_second_tokens_follow_the_exact_law(
    engine: Engine, prompts: list[Rendered], sampling: Make, logits: Logits, changed: dict[str, float]
) -> None:
    settings = sampling(n=4096, max_tokens=2, **changed)
    prompt = prompts[0].token_ids
    [own] = logits([prompt])
    first = law_of(own, settings, prompt)
    going_on = [token for token in range(VOCABULARY) if token not in (EOS, SECOND_END)]
    after = logits([(*prompt, token) for token in going_on])
    second = np.stack([law_of(own, settings, prompt, (t,)) for t, own in zip(going_on, after, strict=True)])
    law = first[going_on] @ second / first[going_on].sum()
    done = engine.sample(prompts[:1], settings, 12, ignore)
    pairs = [one.token_ids for one in done if len(one.token_ids) == 2]
    drawn = np.bincount([pair[1] for pair in pairs], minlength=VOCABULARY)
    assert p_of_law(drawn, law) > ALPHA
    again = sum(one == other for one, other in pairs)
    expected = first[going_on] @ second[np.arange(len(going_on)), going_on] / first[going_on].sum()
    assert stats.binomtest(again, len(pairs), expected).pvalue > ALPHA


def test_log_probs_of_penalised_draws_are_the_models_own(
    engine: Engine, prompts: list[Rendered], sampling: Make
) -> None:
    done = engine.sample(prompts[:1], sampling(n=8, top_k=5, **PENALTIES["all penalties"]), 5, ignore)
    own = engine.logprobs([(prompts[0].token_ids, one.token_ids) for one in done])
    for one, expected in zip(done, own, strict=True):
        np.testing.assert_allclose(one.logprobs, expected, atol=1e-3)


def test_penalties_act_on_greedy_completions(
    vllm_engine: Engine, transformers_engine: Engine, prompts: list[Rendered], sampling: Make
) -> None:
    settings = sampling(n=1, temperature=0.0, max_tokens=24, **PENALTIES["all penalties"])
    plain = sampling(n=1, temperature=0.0, max_tokens=24)
    theirs = [one.token_ids for one in vllm_engine.sample(prompts, settings, 0, ignore)]
    ours = [one.token_ids for one in transformers_engine.sample(prompts, settings, 0, ignore)]
    assert ours == theirs
    assert ours != [one.token_ids for one in transformers_engine.sample(prompts, plain, 0, ignore)]


def test_the_test_bites() -> None:
    """A law that is a little off is refused at the sizes used above."""
    law = np.full(VOCABULARY, 1 / VOCABULARY)
    tilted = law * np.linspace(0.8, 1.2, VOCABULARY)
    drawn = np.random.default_rng(0).multinomial(4096, tilted / tilted.sum())
    assert p_of_law(drawn, law) < ALPHA


@pytest.mark.parametrize("changed", LAWS.values(), ids=LAWS.keys())
def test_the_engines_samples_pass_two_sample_tests(
    vllm_engine: Engine, transformers_engine: Engine, prompts: list[Rendered], sampling: Make, changed: dict[str, float]
) -> None:
    settings = sampling(n=1024, max_tokens=12, **changed)
    for prompt in prompts[:2]:
        theirs = vllm_engine.sample([prompt], settings, 21, ignore)
        ours = transformers_engine.sample([prompt], settings, 22, ignore)
        assert p_of_two(first_tokens(theirs), first_tokens(ours)) > ALPHA
        for figure in (lambda one: sum(one.logprobs), lambda one: len(one.token_ids), lambda one: len(one.text)):
            assert p_of_means([figure(one) for one in theirs], [figure(one) for one in ours]) > ALPHA


def p_of_two(some: np.ndarray, others: np.ndarray) -> float:
    both = some + others
    rare = both < 10
    table = np.array([np.append(counts[~rare], counts[rare].sum()) for counts in (some, others)])
    return float(stats.chi2_contingency(table[:, table.sum(0) > 0]).pvalue)


def p_of_means(some: list[float], others: list[float]) -> float:
    """Permutation test of equal means, 4000 shuffles with a fixed seed."""
    result = stats.permutation_test(
        (some, others),
        lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        n_resamples=4000,
        vectorized=True,
        rng=0,
    )
    return float(result.pvalue)


@pytest.mark.parametrize("stop", [(), ("w1", "5 w", "w33")], ids=["no stop strings", "stop strings"])
def test_the_same_tokens_end_at_the_same_place_with_the_same_text(
    vllm_engine: Engine, transformers_engine: Engine, prompts: list[Rendered], sampling: Make, stop: tuple[str, ...]
) -> None:
    """Greedy completions are the same in both engines, so everything about them must be."""
    settings = sampling(n=1, temperature=0.0, max_tokens=24, stop=stop)
    theirs = vllm_engine.sample(prompts, settings, 0, ignore)
    ours = transformers_engine.sample(prompts, settings, 0, ignore)
    facts = [[(one.token_ids, one.text, one.finish_reason) for one in done] for done in (theirs, ours)]
    assert facts[0] == facts[1]
    assert Counter(one.finish_reason for one in ours)

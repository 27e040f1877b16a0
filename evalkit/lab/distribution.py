"""The exact distribution of the next token: what a perfect model of the grammar would predict after any prefix.

The distribution of a prompt's completions is an automaton over tokens: a state is a branch, one of its parts, and how
far into that part's options the text has come. A prefix leaves few states alive, each with its posterior weight; the
next token's distribution is their mixture. Training on it instead of on the one token that was drawn has the same
expected gradient, without the noise of the draw (Rao-Blackwell).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerFast

from evalkit.lab.grammar import Branch, Prompt, Slot

State = tuple[int, int, tuple[int, ...]]
"""Branch, part, and the tokens of that part that are read already."""
Belief = tuple[tuple[State, float], ...]
"""States alive with their posterior weights, which sum to 1."""
Distribution = Mapping[int, float]
"""Token id to probability."""


@dataclass
class NextToken:
    """The automaton of one prompt, its distributions kept once they are computed."""

    start: Belief
    parts: Sequence[Sequence[Mapping[tuple[int, ...], float]]]
    """Branch, part -> token sequences of its options, with their probabilities."""
    eos: int
    _steps: dict[Belief, tuple[Distribution, dict[int, Belief]]] = field(default_factory=dict)

    def distributions(self, tokens: Sequence[int]) -> list[Distribution]:
        """Return the distribution before each token of a completion that the grammar can make, and before its end."""
        distributions = []
        belief = self.start
        for token in tokens:
            distribution, after = self.step(belief)
            distributions.append(distribution)
            belief = after[token]
        return distributions

    def step(self, belief: Belief) -> tuple[Distribution, dict[int, Belief]]:
        """Return the distribution of the next token, and what each token leaves alive."""
        known = self._steps.get(belief)
        if known is None:
            known = self._steps[belief] = self._advance(belief)
        return known

    def _advance(self, belief: Belief) -> tuple[Distribution, dict[int, Belief]]:
        reached: dict[int, dict[State, float]] = defaultdict(lambda: defaultdict(float))
        for (branch, part, read), weight in belief:
            if part == len(self.parts[branch]):
                reached[self.eos][(branch, part + 1, ())] += weight
                continue
            options = self.parts[branch][part]
            alive = {o: p for o, p in options.items() if len(o) > len(read) and o[: len(read)] == read}
            mass = sum(alive.values())
            for option, p in alive.items():
                longer = option[: len(read) + 1]
                state = (branch, part + 1, ()) if longer == option else (branch, part, longer)
                reached[option[len(read)]][state] += weight * p / mass
        distribution = {token: sum(states.values()) for token, states in reached.items()}
        after = {
            token: tuple((state, round(weight / distribution[token], 12)) for state, weight in sorted(states.items()))
            for token, states in reached.items()
        }
        return distribution, after


def next_token(prompt: Prompt, tokenizer: PreTrainedTokenizerFast) -> NextToken:
    """Return the automaton of a prompt's completions under a tokenizer."""
    start = tuple(((index, 0, ()), branch.probability) for index, branch in enumerate(prompt.branches))
    parts = [_token_parts(branch, tokenizer) for branch in prompt.branches]
    return NextToken(start, parts, int(tokenizer.eos_token_id))


def _token_parts(branch: Branch, tokenizer: PreTrainedTokenizerFast) -> list[Mapping[tuple[int, ...], float]]:
    """Each part's options as tokens. A space belongs to the word after it, so it moves over to the next part."""
    made: list[Mapping[tuple[int, ...], float]] = []
    space = " "
    for part in branch.parts:
        options = dict(zip(part.options, part.probabilities, strict=True)) if isinstance(part, Slot) else {part: 1.0}
        texts = {f"{space}{option}": p for option, p in options.items()}
        space = " " if all(text.endswith(" ") for text in texts) else ""
        cut = {text[: len(text) - len(space)]: p for text, p in texts.items()}
        if any(cut):
            ids = tokenizer(list(cut), add_special_tokens=False).input_ids
            made.append({tuple(tokens): p for tokens, p in zip(ids, cut.values(), strict=True)})
    return made

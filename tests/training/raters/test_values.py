"""A group's values are its utility's or its reward model's; those that cannot be had are named."""

from __future__ import annotations

import math
from typing import Any

import pytest

from evalkit.errors import InputError
from evalkit.metrics.quality.reward import reward
from evalkit.plumbing.progress import Quiet
from evalkit.preferences.pairs import Pair
from evalkit.records import Completion, Group, Prompt
from evalkit.training.raters.values import value_pairs
from tests.preferences.pairs import config, many


def test_a_reward_models_values_are_its_rewards() -> None:
    asked = config({"g": {"values": {"model": "lab:reward"}}})
    prompt = Prompt("sky", "Write one line of a poem about rain.")
    texts = ("The rain is a slow letter.", "Rain.", "zyxwv qponm")
    pairs = [Pair(prompt, texts[0], texts[1]), Pair(prompt, texts[0], texts[2])]
    found = value_pairs(asked.groups, pairs, Quiet())["g"]
    completions = tuple(Completion("sky", slot, text, (), (), "stop") for slot, text in enumerate(texts))
    [expected] = reward([Group(prompt, completions)], model="lab:reward")
    assert [found["sky", text] for text in texts] == pytest.approx(expected.tolist(), rel=1e-4, nan_ok=True)
    assert math.isnan(found["sky", texts[2]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"utility": {"wrods": 1}}, "group 'g': there is no utility 'wrods' (did you mean 'words'?)"),
        ({"utility": {"accuracy": 1}}, "group 'g': utility 'accuracy' needs prompts with an `answer`; prompt 'p0' has"),
        ({"model": "lab:nobody"}, "group 'g': 'lab:nobody': the lab has no checkpoint 'nobody'"),
        ({"model": "lab:base"}, "group 'g': lab:base cannot give rewards: it is a LlamaForCausalLM"),
    ],
)
def test_values_that_cannot_be_had_name_their_group(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        value_pairs(config({"fine": {}, "g": {"values": values}}).groups, many(1), Quiet())
    assert str(caught.value).startswith(message)

"""Servers that are asked as one checkpoint: each must serve the same model, whichever answers.

What a pool tells of its model is what every one of its servers tells. So a server that is down takes nothing from it,
and one that is added adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from evalkit.checkpoints.servers import Served, identify
from evalkit.errors import ServerError

MACHINES_OWN = ("root", "parent", "model_path")
"""Where a server keeps the weights, which differs from machine to machine."""
ASKED_AT_ONCE = 16


def identify_pool(urls: Sequence[str], model: str = "") -> Served:
    """What the servers at `urls` tell of `model` ("": the only one that each serves); those that are down are left out.

    Raises `ServerError` when none answers, when one does not serve the model, or when two tell of different ones.
    """
    with ThreadPoolExecutor(min(len(urls), ASKED_AT_ONCE)) as threads:
        told = list(threads.map(partial(_identified, model=model), urls))
    answers = {url: answer for url, answer in zip(urls, told, strict=True) if isinstance(answer, Served)}
    if not answers:
        raise ServerError(f"none of the {len(urls)} servers of its pool answers: {'; '.join(map(str, told))}")
    (first, of_first), *others = answers.items()
    for url, served in others:
        if differences := differing(pool_facts(of_first.facts), pool_facts(served.facts)):
            raise ServerError(
                f"the servers of its pool are not alike: {first} and {url} tell of different models "
                f"({'; '.join(differences)}); a pool is of servers that serve the same"
            )
    return Served(of_first.model, pool_facts(of_first.facts), of_first.names_weights)


def pool_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """What all servers of a pool must tell alike."""
    return {name: value for name, value in facts.items() if name not in MACHINES_OWN}


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Facts that they do not both tell alike, in words."""
    names = dict.fromkeys((*one, *other))
    return [
        f"{name}: {one.get(name, 'not told')}, {other.get(name, 'not told')}"
        for name in names
        if one.get(name) != other.get(name)
    ]


def _identified(url: str, model: str) -> Served | ServerError:
    """Raises `ServerError` where it answers and is not of the pool."""
    try:
        served = identify(url, model)
    except ServerError as error:
        if error.__cause__ is None:  # it answered, and told of no model or of several
            raise
        return error
    if not served.is_listed:
        raise ServerError(f"{url} does not say that it serves {served.model}; each server of a pool must")
    return served

"""What a run's requests to servers took, and cost, as a sentence; a manifest that somebody changed is not believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.plumbing.arrays import JSON
from evalkit.plumbing.prose import counted, listed


def spending_text(spending: JSON) -> str:
    """Each arm's, for what the run asked and for all that it has; then the sum where several have a price."""
    rows = spending.items() if isinstance(spending, Mapping) else ()
    arms = {arm: row for arm, row in rows if isinstance(row, Mapping)}
    texts = [f"{arm}: {_arm(row)}" for arm, row in arms.items()]
    run, completions = (_sums(arms, what) for what in ("run", "completions"))
    if sum(1 for row in arms.values() if _currency(row)) > 1:
        texts.append(f"altogether {_listed(run)} for this run and {_listed(completions)} for all completions")
    return "; ".join(texts)


def money(amount: float, currency: str) -> str:
    """An amount with as many digits as it needs to be seen."""
    return f"{amount:,.2f} {currency}" if amount >= 1 or amount == 0 else f"{amount:.2g} {currency}"


def _arm(row: Mapping[str, JSON]) -> str:
    untold = int(_number(row.get("untold")))
    unknown = f"; of {counted(untold, 'completion')} its server did not say" if untold else ""
    run, completions = _spent(row, "run"), _spent(row, "completions")
    return f"{run} for what this run asked, {completions} for all its completions, {_prices(row)}{unknown}"


def _prices(row: Mapping[str, JSON]) -> str:
    price = row.get("price")
    if not isinstance(price, Mapping):
        return "no price stated"
    prompt, completion = _number(price.get("input")), _number(price.get("output"))
    return f"at {prompt:g} and {completion:g} {_currency(row)} for a million tokens"


def _spent(row: Mapping[str, JSON], what: str) -> str:
    spent = _part(row, what)
    tokens = (
        f"{int(_number(spent.get('prompt_tokens'))):,} tokens in and "
        f"{int(_number(spent.get('completion_tokens'))):,} out"
    )
    return tokens if spent.get("cost") is None else f"{money(_number(spent['cost']), _currency(row))} ({tokens})"


def _sums(arms: Mapping[str, Mapping[str, JSON]], what: str) -> dict[str, float]:
    sums: dict[str, float] = {}
    for row in arms.values():
        if currency := _currency(row):
            sums[currency] = sums.get(currency, 0.0) + _number(_part(row, what).get("cost"))
    return sums


def _listed(sums: Mapping[str, float]) -> str:
    return listed([money(amount, currency) for currency, amount in sums.items()])


def _part(row: Mapping[str, JSON], what: str) -> Mapping[str, Any]:
    part = row.get(what)
    return part if isinstance(part, Mapping) else {}


def _currency(row: Mapping[str, JSON]) -> str:
    price = row.get("price")
    return str(price.get("currency", "")) if isinstance(price, Mapping) else ""


def _number(value: JSON) -> float:
    return float(value) if isinstance(value, int | float) else 0.0

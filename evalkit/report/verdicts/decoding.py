"""Decoding paths in sentences: where they meet the baseline, what that costs, which setting gives back the most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.analysis import effects
from evalkit.metrics.decoding import Crossing, Decoding, DecodingPath, GivenBack, Ranged, Recovery, Span, Trade
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import capital, listed
from evalkit.report.verdicts.plain_names import pictured
from evalkit.report.wording import LEVEL, interval_text, interval_words, label, value_text

SHORT = {"temperature": "T"}
OTHERS = 3
"""Settings that are as good for all one knows, of which that many are named."""


def decoding_claims(summary: Summary) -> list[str]:
    """For the top of the page, of each checkpoint that clearly lost diversity: by the measure easiest to picture.

    What gives back most where something clearly gives back; else what the same diversity as the baseline's costs.
    """
    found = summary.decoding
    if found is None:
        return []
    claims = [_claim(found, checkpoint, summary) for checkpoint in found.references]
    return [claim for claim in claims if claim]


def _claim(found: Decoding, checkpoint: str, summary: Summary) -> str:
    recovery = easiest([one for one in found.recoveries if one.checkpoint == checkpoint], summary)
    if recovery is None:
        return ""
    if recovery.free is not None:
        return recovery_sentence(found, recovery)
    at_its_diversity = [
        (crossing, trade)
        for crossing, trade in _read_crossings(found, recovery.metric)
        if crossing.metric == recovery.metric and found.paths[crossing.path].checkpoint == checkpoint
    ]
    # The first path in their order, not the one that looks best.
    known = [pair for pair in at_its_diversity if pair[1] is not None and is_number(pair[1].against_baseline.low)]
    return path_sentence(found, *known[0]) if known else ""


def easiest(recoveries: Sequence[Recovery], summary: Summary) -> Recovery | None:
    """Of a measure that clearly lost something the one that a reader can picture best."""
    traits = effects.traits(summary)
    clear = [one for one in recoveries if one.settings]
    return min(clear, key=lambda one: pictured(traits[one.metric]), default=None)


def measures_of(found: Decoding) -> list[str]:
    """The measures of diversity that are read, in their order."""
    metrics = dict.fromkeys(one.metric for one in found.crossings)
    return [metric for metric in metrics if metric != found.quality]


def sentences(found: Decoding, diversity: str) -> list[str]:
    """All that is said by one measure of diversity: what gives back most, where paths meet the baseline, or never."""
    recoveries = [recovery_sentence(found, one) for one in found.recoveries if one.metric == diversity]
    pairs = _read_crossings(found, diversity)
    met = [path_sentence(found, *pair) for pair in pairs if pair[0].at or pair[0].spans]
    return [
        *recoveries,
        *met,
        *_nowhere(found, [crossing for crossing, _ in pairs if not (crossing.at or crossing.spans)]),
    ]


def _read_crossings(found: Decoding, diversity: str) -> list[tuple[Crossing, Trade | None]]:
    """Each path's crossings by this measure and by quality, each with what it has there."""
    trades = {(one.path, one.at_equal): one for one in found.trades if diversity in (one.metric, one.at_equal)}
    of_both = [one for one in found.crossings if one.metric in (diversity, found.quality)]
    ordered = sorted(of_both, key=lambda one: (one.path, one.metric != diversity))
    return [(one, trades.get((one.path, one.metric))) for one in ordered]


def _nowhere(found: Decoding, crossings: Sequence[Crossing]) -> Iterator[str]:
    """A sentence for all paths of a checkpoint that are clearly on the same side all along."""
    alike: dict[tuple[str, str, str], list[DecodingPath]] = {}
    for one in crossings:
        path = found.paths[one.path]
        alike.setdefault((path.checkpoint, one.metric, one.elsewhere), []).append(path)
    for (checkpoint, metric, elsewhere), paths in alike.items():
        tried = listed(
            f"{path_words(path)} ({_number(path.values[0])} to {_number(path.values[-1])})" for path in paths
        )
        reference, side = found.references[checkpoint], _side(elsewhere)
        never = f"{capital(tried)} {checkpoint} never has the {label(metric)} of {reference}"
        yield f"{never}: {side} at all settings tried."


def _side(elsewhere: str) -> str:
    return "ahead of it" if elsewhere == "more" else "behind it"


def path_sentence(found: Decoding, crossing: Crossing, trade: Trade | None) -> str:
    """Where a path is as diverse or as good as the baseline, and what it has there."""
    return " ".join([crossing_sentence(found, crossing), *_trade_sentences(found, trade)])


def crossing_sentence(found: Decoding, crossing: Crossing) -> str:
    """`Over temperature tuned has as much distinct_n as base at T = 1.27 (95 % interval 1.19 to 1.36).`"""
    path = found.paths[crossing.path]
    reference, measure = found.references[path.checkpoint], label(crossing.metric)
    begins = f"{capital(path_words(path))} {path.checkpoint}"
    if not crossing.at:
        tried = f"{_number(path.values[0])} to {_number(path.values[-1])}"
        open_at = [f"{name_of(path)} {_open_words(span)}" for span in crossing.spans]
        left = f"; chance leaves open that it does at {listed(open_at, 'or')}" if open_at else ""
        side = _side(crossing.elsewhere)
        return f"{begins} never has the {measure} of {reference}: {side} at all settings tried ({tried}){left}."
    places = listed(f"{name_of(path)} = {_number(at)}" for at in crossing.at)
    return f"{begins} has the {measure} of {reference} at {places} ({_spans(crossing.spans)})."


def _spans(spans: Sequence[Span]) -> str:
    if all(is_number(span.low) and span.low == span.high for span in spans):
        return f"no {LEVEL} interval"
    return f"{LEVEL} interval {listed(map(_open_words, spans), 'or')}"


def _open_words(span: Span) -> str:
    """`1.19 to 1.36`, or with an end that no setting tried has reached."""
    if span.low is None and span.high is None:
        return "of any value tried"
    if span.low is None:
        return f"up to {_number(span.high)}"
    return f"{_number(span.low)} and beyond" if span.high is None else f"{_number(span.low)} to {_number(span.high)}"


def _trade_sentences(found: Decoding, trade: Trade | None) -> Iterator[str]:
    if trade is None or not is_number(trade.against_baseline.value):
        return
    checkpoint = found.paths[trade.path].checkpoint
    metric, start, reference = label(trade.metric), found.starts[checkpoint], found.references[checkpoint]
    moved = "the same diversity costs" if trade.metric == found.quality else "the same quality gives"
    yield (
        f"There its {metric} is {ranged_words(trade.against_baseline)} against {reference}; what {moved}, counted from "
        f"{start}, is {ranged_words(trade.against_start)}."
    )


def recovery_sentence(found: Decoding, recovery: Recovery) -> str:
    """`By vendi tuned is less diverse than base (5.8, ...). Of that tuned@T=1.2 gives back most ...: 62 % (...).`"""
    metric, quality = label(recovery.metric), label(found.quality or "")
    if not recovery.settings:
        alike = f"By {metric} {recovery.start} is not clearly less diverse than {recovery.reference}"
        return f"{alike}: nothing is to be given back."
    lost = recovery.lost
    known = f"{value_text(lost)}, {interval_words(lost)}"
    begins = f"By {metric} {recovery.start} is less diverse than {recovery.reference} ({known})"
    best = next((one for one in recovery.settings if one.arm == recovery.free), None)
    if best is None:
        nothing = f"no setting tried clearly gives back any of it without clearly lower {quality}"
        return f"{begins}; {nothing}{_full(recovery, quality)}."
    full = "" if recovery.full == recovery.free else _full(recovery, quality)
    return (
        f"{begins}. Of that {best.arm} gives back most without clearly lower {quality}: {share_words(best)}, with "
        f"{quality} {_change_words(best)}{_together(recovery)}{_others(recovery.as_good)}{full}."
    )


def _together(recovery: Recovery) -> str:
    """Where one was picked among several."""
    count = len(recovery.settings)
    return f"; both intervals hold for all {count} settings at once" if count > 1 else ""


def _change_words(given: GivenBack) -> str:
    """`−0.02 (−0.08 to 0.04)`."""
    known = interval_text(given.quality)
    return value_text(given.quality, signed=True) + (f" ({known})" if known else "")


def _others(arms: Sequence[str]) -> str:
    if not arms:
        return ""
    more = len(arms) - OTHERS
    named = [*arms[:OTHERS], *([f"{more} more"] if more > 0 else [])]
    return f"; {listed(named)} may give back no less"


def _full(recovery: Recovery, quality: str) -> str:
    """What gives back all of it, and what that costs."""
    best = next((one for one in recovery.settings if one.arm == recovery.full), None)
    if best is None:
        return "; none gives back all of it"
    return f"; {best.arm} gives back all of it, with {quality} {_change_words(best)}"


def share_words(given: GivenBack) -> str:
    """`62 % (41 to 83 %)`."""
    share = given.share
    if not is_number(share.value):
        return "nothing that is known"
    known = is_number(share.low) and is_number(share.high)
    return f"{_percent(share.value)} %" + (f" ({_percent(share.low)} to {_percent(share.high)} %)" if known else "")


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0):.0f}".replace("-", "−")


def ranged_words(ranged: Ranged) -> str:
    """`+0.53 (95 % interval 0.44 to 0.62)`."""
    known = interval_text(ranged)
    return f"{value_text(ranged, signed=True)} ({interval_words(ranged) if known else 'no interval'})"


def path_words(path: DecodingPath) -> str:
    """`over min_p at T = 1.3`; of what else is held only what changes anything."""
    held = {name: value for name, value in path.held.items() if value != _IDLE.get(name)}
    words = [f"{SHORT.get(name, name)} = {_number(value)}" for name, value in held.items()]
    at = f" at {listed(words)}" if words else ""
    return f"over {path.setting}{at}"


def name_of(path: DecodingPath) -> str:
    """Its setting as numbers have it: `T`, `min_p`."""
    return SHORT.get(path.setting, path.setting)


_IDLE = {
    "top_p": 1.0,
    "min_p": 0.0,
    "top_k": 0.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
}
"""Values at which a setting changes nothing."""


def _number(value: float | None) -> str:
    return f"{value or 0:.3g}"

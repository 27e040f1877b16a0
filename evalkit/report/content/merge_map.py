"""What embeddings show of several runs (the maps of completions, how alike arms are), made anew from their texts.

Each run's own map has axes of its own, and no run knows how alike its arms are to those of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.analysis.atlas import draw_atlas
from evalkit.analysis.embedding_map import map_completions
from evalkit.analysis.figure_data import Accord, Atlas, CompletionMap
from evalkit.analysis.homogeneity import accords, homogeneity
from evalkit.analysis.shown import in_memory, shown_of
from evalkit.errors import EvalkitError
from evalkit.metrics.embeddings.attach import embed_groups
from evalkit.metrics.embeddings.encoder import Encoder, find_encoder
from evalkit.metrics.summary import Homogeneity, Summary
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.prose import listed
from evalkit.records import Groups
from evalkit.report.content.content import ReportContent

_MARK = "enc:"
"""What a signature says before the encoder's identity."""


@dataclass(frozen=True)
class MergedMeanings:
    """What can be shown of the runs' embeddings; nothing where there are none of all of them."""

    completion_map: CompletionMap | None = None
    homogeneity: Homogeneity | None = None
    accords: tuple[Accord, ...] = ()
    atlas: Atlas | None = None


def merged_meanings(
    names: Sequence[str], contents: Sequence[ReportContent], groups: Groups, summary: Summary, tell: Listener
) -> tuple[MergedMeanings, list[str]]:
    """What embeddings show of these groups, and what must be said where that is nothing though every run has a map.

    Texts are embedded by the encoder that all runs used; those that this machine has embedded before are in its cache.
    """
    if any(content.figure_data.completion_map is None for content in contents):
        return MergedMeanings(), []
    identities = [_identity(content) for content in contents]
    if len(set(identities)) > 1:
        different = listed(f"{encoder} in {name}" for encoder, name in zip(identities, names, strict=True))
        return MergedMeanings(), [
            f"There is no map of all completions: the runs' sentence encoders are not the same ({different})."
        ]
    try:
        embedded = embed_groups(groups, tell, _encoder(contents[0], identities[0]), references=False)
    except EvalkitError as error:
        return MergedMeanings(), [f"There is no map of all completions, for their encoder is not at hand: {error}"]
    alike = homogeneity(summary.arms, embedded, summary.clusters, identities[0], tell)
    mapped = in_memory(embedded, shown_of(summary))
    return MergedMeanings(map_completions(mapped, tell), alike, accords(alike, embedded), draw_atlas(mapped, tell)), []


def _identity(content: ReportContent) -> str:
    """Of the encoder that the run's measures of meaning name in their signatures."""
    parts = (part for estimate in content.summary.estimates for part in estimate.signature.split("|"))
    return next((part.removeprefix(_MARK) for part in parts if part.startswith(_MARK)), "")


def _encoder(content: ReportContent, identity: str) -> Encoder:
    """The one that the run's suite names. Raises `EvalkitError` where that is another one here."""
    suite = content.provenance.get("suite")
    name = suite.get("encoder") if isinstance(suite, dict) else None
    encoder = find_encoder(name if isinstance(name, str) else None)
    if encoder.identity != identity:
        raise EvalkitError(f"it was {identity}, and {name or 'the embedded one'} is {encoder.identity} here")
    return encoder

"""What arms have at equal k and at equal quality, how alike they are, and what was lost of what: curves to splits."""

from __future__ import annotations

from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.comparison.curves import crossovers, curves, trace
from evalkit.analysis.comparison.temperature_sweeps import read_sweeps
from evalkit.analysis.decoding import read_decoding
from evalkit.analysis.estimates import FairComparison, Measured
from evalkit.analysis.homogeneity import homogeneity
from evalkit.analysis.loss_split import loss_splits
from evalkit.analysis.measure import Measurements
from evalkit.plumbing.progress import QUIET, Listener


def compare_fairly(measurements: Measurements, tell: Listener = QUIET) -> FairComparison:
    """Curves over k, where the baseline overtakes, sweeps read at equal quality, how alike arms are, losses split."""
    arms, bar = measurements.sampled.arms, measurements.bar
    clusters = clusters_of([seen.prompt for seen in measurements.overview[arms[0].name]]) if arms else ()
    identity = measurements.encoder.identity
    traced = trace(measurements.measures, measurements.scores, measurements.sampled, identity, measurements.points)
    by_name = {measured.measure: measured for measured in measurements.measured}
    quality, diversities = by_name[bar.measure] if bar else None, _diversities(measurements)
    readings = read_sweeps(arms, quality, diversities, clusters) if quality else []
    return FairComparison(
        bar,
        tuple(curves(traced, arms, clusters)),
        tuple(crossovers(traced, arms, clusters)),
        tuple(readings),
        homogeneity(arms, measurements.groups, clusters, identity, tell),
        read_decoding(arms, quality, diversities, clusters),
        tuple(loss_splits(measurements, clusters, tell)),
    )


def _diversities(measurements: Measurements) -> list[Measured]:
    """The measures of diversity itself: plain metrics with a better direction that no quality goes into."""
    pairs = zip(measurements.measures, measurements.measured, strict=True)
    return [
        measured
        for measure, measured in pairs
        if measure.variant == "whole"
        and measure.definition.kind == "metric"
        and measured.traits.side == "diversity"
        and not measure.definition.needs & {"quality", "answer"}
    ]

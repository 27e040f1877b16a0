"""Completions become values, intervals, differences and alarms."""

from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.estimates import summarise
from evalkit.analysis.intervals import Mean, holm, mean_intervals, mean_p_values
from evalkit.analysis.measure import Fairness, Measurements, compared, measure_groups

__all__ = [
    "Fairness",
    "Mean",
    "Measurements",
    "clusters_of",
    "compared",
    "holm",
    "mean_intervals",
    "mean_p_values",
    "measure_groups",
    "summarise",
]

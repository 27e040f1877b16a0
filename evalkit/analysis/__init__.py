"""Completions become values, intervals, differences and alarms."""

from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.estimates import AskedSuite, summarise
from evalkit.analysis.fair_comparison import compare_fairly
from evalkit.analysis.intervals import Mean, holm, mean_intervals, mean_p_values
from evalkit.analysis.measure import Fairness, Measurements, measure_groups
from evalkit.analysis.sampled_arms import SampledArms

__all__ = [
    "AskedSuite",
    "Fairness",
    "Mean",
    "Measurements",
    "SampledArms",
    "clusters_of",
    "compare_fairly",
    "holm",
    "mean_intervals",
    "mean_p_values",
    "measure_groups",
    "summarise",
]

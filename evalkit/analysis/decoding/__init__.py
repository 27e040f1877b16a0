"""Whole decoding paths: where a tuned checkpoint meets the baseline, what that costs, which setting serves best."""

from evalkit.analysis.decoding.readings import read_decoding

__all__ = ["read_decoding"]

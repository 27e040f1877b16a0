"""The metrics: how one is declared, found, named and signed; one file a family."""

from evalkit.metrics.registry import Definition, Measure, arm_metric, definitions, label, metric, parse, score

__all__ = ["Definition", "Measure", "arm_metric", "definitions", "label", "metric", "parse", "score"]

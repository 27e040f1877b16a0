"""The metrics: how one is declared, found, named and signed; one file a family."""

from evalkit.metrics.declaration import Definition, arm_metric, metric, score
from evalkit.metrics.registry import Measure, definitions, label, parse

__all__ = ["Definition", "Measure", "arm_metric", "definitions", "label", "metric", "parse", "score"]

"""Calls to engines, made by replicas on the devices of a machine or of a cluster, and what becomes of their faults."""

from evalkit.inference.workers.calls import Call, Load
from evalkit.inference.workers.crew import make_calls
from evalkit.inference.workers.places import Place, place_of

__all__ = ["Call", "Load", "Place", "make_calls", "place_of"]

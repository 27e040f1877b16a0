"""Calls to engines, made by replicas on the devices of a machine or of a cluster, and what becomes of their faults."""

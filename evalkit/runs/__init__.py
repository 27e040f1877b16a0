"""The run's folder: written, locked, read back."""

from evalkit.runs.folder import Store, open_store
from evalkit.runs.groups import groups_of
from evalkit.runs.manifest import read_manifest
from evalkit.runs.summary import read_summary

__all__ = ["Store", "groups_of", "open_store", "read_manifest", "read_summary"]

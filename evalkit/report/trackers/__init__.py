"""Finished runs go to the trackers that a team already looks at: one file a tracker, behind one small protocol."""

from evalkit.report.trackers.record import Record, Table
from evalkit.report.trackers.run_record import run_record, scored_record
from evalkit.report.trackers.send import NAMES, Tracker, open_trackers, send

__all__ = ["NAMES", "Record", "Table", "Tracker", "open_trackers", "run_record", "scored_record", "send"]

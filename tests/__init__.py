"""Tests lie where the files they test lie."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
"""The checkout's folder."""

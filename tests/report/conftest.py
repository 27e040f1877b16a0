"""The made-up runs, built once."""

from __future__ import annotations

import pytest

from evalkit.report.content.content import ReportContent
from tests.report.example import synthetic


@pytest.fixture(scope="session")
def two_arms() -> ReportContent:
    return synthetic([("base", "base", 1.0), ("tuned", "tuned", 1.0)])


@pytest.fixture(scope="session")
def sweep() -> ReportContent:
    sweeps = [
        ("tuned T=0.5", "tuned", 0.5),
        ("tuned T=0.7", "tuned", 0.7),
        ("tuned T=1", "tuned", 1.0),
        ("tuned T=1.3", "tuned", 1.3),
    ]
    return synthetic([("base", "base", 1.0), *sweeps])

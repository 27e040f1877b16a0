"""The command line, with all networks in shards."""

from __future__ import annotations

from evalkit.cli import main
from evalkit.training import processes
from tests.training.processes.sharding import sharding_accelerator

processes.Accelerator = sharding_accelerator
main()

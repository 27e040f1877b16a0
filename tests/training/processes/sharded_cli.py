"""The command line, with all networks in shards."""

from __future__ import annotations

from evalkit.cli.main import main
from evalkit.training import distributed as processes
from tests.training.processes.sharding import sharding_accelerator

processes.Accelerator = sharding_accelerator
main()

"""The command line: commands parse, call and print."""

from evalkit.cli.main import main as main

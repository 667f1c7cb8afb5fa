"""The command line: one file a family of commands, read when one of them is run."""

from listen_edge.cli.root import main

__all__ = ["main"]

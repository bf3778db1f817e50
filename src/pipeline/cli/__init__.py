"""The command ``engram``. Nothing imports this package, and it imports heavy libraries only inside commands."""

from pipeline.cli.app import main

__all__ = ["main"]

"""The command ``engram``. Nothing imports this package, and it imports heavy libraries only inside commands."""

import os

# Threads that spin at a barrier burn the processor time of whoever they wait for: on a machine with anything else to
# do, training ran ten times slower. OpenMP reads this once, when PyTorch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pipeline.cli.app import main

__all__ = ["main"]

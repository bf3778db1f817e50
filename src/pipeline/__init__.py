"""Engram's pure core: language models that learn overnight. No Prefect, no global state."""

__version__ = "0.1.0"

"""Every error that Engram raises on purpose.

    EngramError                     exit status 2, one message, no traceback
    ├── ConfigError                 unknown key, wrong type, contradictory values
    ├── DataError                   a malformed row, an ambiguous suite, a missing data file
    ├── ArtifactError               a missing or torn file, a digest that differs
    ├── StoreError                  an empty store, another encoder, a bad session name
    ├── ModelError                  a model that is absent, or lacks what a stage needs
    ├── TrainingError               zero examples, a loss that did not fall, B still zero
    └── ServiceError                a server, worker or port that does not answer

Each message says what was expected, what was found, where (file, line, key) and what to do next.
"""

from __future__ import annotations


class EngramError(Exception):
    """Base of all errors that a user can cause and mend; the command line prints its text alone."""


class ConfigError(EngramError):
    """The configuration is wrong: unknown key, wrong type, or contradictory values."""


class DataError(EngramError):
    """Input data is wrong: a malformed row, an ambiguous question, a missing file."""


class ArtifactError(EngramError):
    """A file of a run or store is missing, torn, or has another digest than its manifest."""


class StoreError(EngramError):
    """A memory store cannot serve: it is empty, was written by another encoder, or has a bad name."""


class ModelError(EngramError):
    """A language model or encoder is absent or unsuitable."""


class TrainingError(EngramError):
    """Training produced nothing: no examples, a loss that did not fall, an adapter still at zero."""


class ServiceError(EngramError):
    """A server or worker does not start, answer or stop."""

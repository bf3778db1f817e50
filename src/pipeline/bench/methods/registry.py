"""Methods by name; every module of this package is searched for them."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.methods import MethodsBenchConfig, RecipeConfig
from pipeline.errors import ConfigError
from pipeline.progress import Progress
from pipeline.protocol.entrants import Entrant
from pipeline.suites.types import Fact

if TYPE_CHECKING:
    from pipeline.language.models import LanguageModel

ORDER = ("ours", "plain_sft", "passage_sft", "peft_default", "full", "rag", "self_edits", "prefix", "sdft")
"""The order in which methods run and stand in the table; others follow by name."""


@dataclass(frozen=True)
class Task:
    """What a method is given; no test question is among it.

    Attributes:
        name: Of the method.
        config: Of the comparison.
        facts: What is to be learned, with train and probe questions alone.
        others: Facts of the same day that nobody asks about.
        folder: For whatever the method writes.
        progress: Reports parts of the work.
    """

    name: str
    config: MethodsBenchConfig
    facts: tuple[Fact, ...]
    others: tuple[Fact, ...]
    folder: Path
    progress: Progress

    @property
    def recipe(self) -> RecipeConfig:
        """Learning rate and passes of this method."""
        return self.config.recipe(self.name)

    @property
    def passes(self) -> int:
        """Passes over the method's rows."""
        return self.recipe.passes or self.config.passes


@dataclass(frozen=True)
class Learned:
    """What a method made.

    Attributes:
        entrant: From the untouched base in float32 to what is examined.
        training_tokens: Tokens that passed through a model with gradients, padding not counted, over all passes.
        written_tokens: Tokens that a model wrote for the training; None where they are not counted.
        parameters: Numbers that were trained; 0 without training.
    """

    entrant: Callable[[LanguageModel], Entrant]
    training_tokens: int
    written_tokens: int | None = 0
    parameters: int = 0


Method = Callable[[Task], Learned]
_METHODS: dict[str, tuple[str, Method]] = {}


def register_method(name: str, about: str) -> Callable[[Method], Method]:
    """Decorator: makes the function a method of the comparison.

    Args:
        name: What ``--set methods=[…]`` says.
        about: What it does, in one line.
    """

    def register(function: Method) -> Method:
        if name in _METHODS:
            raise ValueError(f"method {name!r} is already registered")
        _METHODS[name] = (about, function)
        return function

    return register


def methods() -> dict[str, str]:
    """Every method with what it does, in the order of the table."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"pipeline.bench.methods.{module.name}")
    rank = {name: number for number, name in enumerate(ORDER)}
    names = sorted(_METHODS, key=lambda name: (rank.get(name, len(ORDER)), name))
    return {name: _METHODS[name][0] for name in names}


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        ConfigError: There is none.
    """
    known = methods()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"methods: unknown method {name!r}{hint}; there are: {', '.join(known)}")
    return _METHODS[name][1]

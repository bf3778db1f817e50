"""Classes that a configuration names, one module of a package each.

LEARNERS = Registry[type[Learner]]("learner", learners)

@LEARNERS.register("er")
class ExperienceReplay(Learner): ...

LEARNERS.find("er")
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Generic, TypeVar

from pipeline.errors import ConfigError

_Entry = TypeVar("_Entry")


class Registry(Generic[_Entry]):
    """What the modules of a package registered, by name.

    Args:
        kind: What an entry is, for messages.
        package: Its modules are imported when a name is looked up.
    """

    def __init__(self, kind: str, package: ModuleType) -> None:
        self._kind, self._package = kind, package
        self._entries: dict[str, _Entry] = {}

    def register(self, name: str) -> Callable[[_Entry], _Entry]:
        """Decorator: makes an entry known by its name.

        Raises:
            ValueError: The name is taken.
        """

        def register(entry: _Entry) -> _Entry:
            if name in self._entries:
                raise ValueError(f"{self._kind} {name!r} is already registered")
            self._entries[name] = entry
            return entry

        return register

    def find(self, name: str) -> _Entry:
        """The entry of that name.

        Raises:
            ConfigError: There is none.
        """
        if name not in self.names():
            raise ConfigError(f"unknown {self._kind} {name!r}; there are: {', '.join(self.names())}")
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """Every name that is registered, sorted."""
        for module in pkgutil.iter_modules(self._package.__path__):
            importlib.import_module(f"{self._package.__name__}.{module.name}")
        return tuple(sorted(self._entries))

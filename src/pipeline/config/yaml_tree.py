"""YAML with an origin for every key: what makes ``file:line`` possible in an error message.

Scalars follow YAML 1.2's core schema: ``1e-3`` is a number, and ``no``, ``on`` or ``2026-11-22`` are plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import yaml

from pipeline.errors import ConfigError


@dataclass(frozen=True)
class Node:
    """A value with the place that set it; ``children`` is set for mappings, ``value`` for everything else."""

    origin: str
    value: Any = None
    children: Mapping[str, Node] | None = None

    def plain(self) -> Any:
        """The values alone."""
        return self.value if self.children is None else {key: node.plain() for key, node in self.children.items()}

    def merged(self, newer: Node) -> Node:
        """This node overlaid by a newer one: mappings merge key by key, everything else is replaced."""
        if self.children is None or newer.children is None:
            return newer
        merged = dict(self.children)
        for key, node in newer.children.items():
            merged[key] = merged[key].merged(node) if key in merged else node
        return Node(newer.origin, children=merged)

    def origin_of(self, location: tuple[str | int, ...]) -> str:
        """Where the value at a location, or the nearest mapping around it, was set."""
        child = (self.children or {}).get(str(location[0])) if location else None
        return child.origin_of(location[1:]) if child else self.origin


MAX_BYTES = 256 << 10
"""Of a configuration; the parser takes seconds for as much."""
MAX_DEPTH = 20
"""Levels of a configuration, in a file or in the key of ``--set``."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """SafeLoader with the scalars of YAML 1.2's core schema, and without aliases, which may refer to themselves."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}
    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not supported; repeat the value", mark)
        if self._depth == MAX_DEPTH:
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, f"more than {MAX_DEPTH} levels", mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$", re.I), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf|\.nan)$", re.I),
    list("-+.0123456789"),
)


@dataclass
class _Reader:
    """Turns composed YAML nodes into :class:`Node`, remembering lines."""

    name: str
    numbered: bool
    loader: _Loader = field(init=False)

    def read(self, text: str) -> Node:
        try:
            self.loader = _Loader(text)
            root = self.loader.get_single_node()
            return Node(self.name) if root is None else self._node(root, self._origin(root))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{self.name}:{mark.line + 1}" if mark and self.numbered else self.name
            raise ConfigError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
        except (ValueError, RecursionError) as error:  # `!!int x`, a number of 5,000 digits, a thousand brackets
            raise ConfigError(f"{self.name}: not a value that a configuration can hold: {error}") from None

    def _origin(self, node: Any) -> str:
        return f"{self.name}:{node.start_mark.line + 1}" if self.numbered else self.name

    def _node(self, node: Any, origin: str) -> Node:
        if not isinstance(node, yaml.MappingNode):
            return Node(origin, value=self.loader.construct_object(node, deep=True))
        children: dict[str, Node] = {}
        for key, value in self._items(node):
            if key in children:
                raise ConfigError(f"{self._origin(value[0])}: key {key!r} is given twice; keep one of them")
            children[key] = self._node(value[1], self._origin(value[0]))
        return Node(origin, children=children)

    def _items(self, node: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{self._origin(key)}: expected a plain key, found {key.id}")
            yield str(key.value), (key, value)


@lru_cache(maxsize=32)
def _read(name: str, text: str) -> Node:
    """Every stage of a run reads the run's file anew, which takes longer to parse than to compare."""
    return _Reader(name, numbered=True).read(text)


def read_yaml(path: Path) -> Node:
    """Read a YAML file; an empty one is an empty mapping.

    Raises:
        ConfigError: It is missing, not UTF-8, not YAML, or holds anything but a mapping with unique plain keys.
    """
    name = _shown(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{name}: cannot read the configuration: {reason}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{name}: expected at most {MAX_BYTES:,} bytes; a configuration is not that large")
    node = _read(name, text)
    if node.children is None and node.value is not None:
        raise ConfigError(f"{node.origin}: expected 'key: value' lines, found {node.value!r}")
    return Node(node.origin, children=node.children or {})


def parse_override(text: str) -> Node:
    """``a.b=value`` as a nested node; the value is YAML, so ``null``, ``[1, 2]`` and ``{a: 1}`` work.

    Raises:
        ConfigError: There is no ``=``, a key is malformed, or the value is not YAML.
    """
    key, equals, value = text.partition("=")
    origin = f"--set {key}=…" if "://" in value else f"--set {text}"  # an address may hold a password
    parts = key.strip().split(".")
    if not equals or len(parts) > MAX_DEPTH or not all(re.fullmatch(r"\w+", part) for part in parts):
        raise ConfigError(f"{origin}: expected KEY=VALUE with a dotted key, for example --set suite.n=8")
    node = _Reader(origin, numbered=False).read(value)
    for part in reversed(parts):
        node = Node(origin, children={part: node})
    return node


def _shown(path: Path) -> str:
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)

"""From ``FLOW/DEPLOYMENT`` and ``--set`` to one validated configuration, with errors that name file and line.

A deployment's file holds only what differs from the models' defaults, and may build on another one by
``extends: other.yaml`` (seen from its own folder). ``--set`` comes last.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from pipeline.config.schema import FLOWS, FlowConfig
from pipeline.config.section import Section, check_name
from pipeline.config.yaml_tree import Node, parse_override, read_yaml
from pipeline.errors import ConfigError

_Section = TypeVar("_Section", bound=Section)

SHARED = frozenset({"guards"})
"""Files that deployments extend and that are none themselves."""


def config_root() -> Path:
    """The repository's ``configs/`` folder.

    Raises:
        ConfigError: The package is installed without its repository.
    """
    folder = Path(__file__).resolve().parents[3] / "configs"
    if not folder.is_dir():
        raise ConfigError(f"no configurations at {folder}; install Engram from its repository with `make setup`")
    return folder


def deployments(flow: str, configs: Path | None = None) -> list[str]:
    """Names of the deployments that a flow has configurations for, sorted."""
    folder = (configs or config_root()) / flow
    return sorted(path.stem for path in folder.glob("*.yaml") if path.stem not in SHARED)


def load_config(
    target: str, overrides: Sequence[str] = (), root: Path | None = None, configs: Path | None = None
) -> FlowConfig:
    """Load the configuration of one deployment.

    Args:
        target: ``FLOW/DEPLOYMENT``, for example ``consolidation/episodic``.
        overrides: ``a.b=value`` each; later ones win.
        root: Artifact root; None keeps the configured one (default ``ENGRAM_HOME``, else the current folder).
        configs: Folder with one sub-folder per flow; None is the repository's.

    Raises:
        ConfigError: An unknown flow, deployment or key, a wrong type, or contradictory values; the message names
            the file and line or the ``--set``.
    """
    flow, _, deployment = target.partition("/")
    folder = configs or config_root()
    model = _model(flow, target)
    known = deployments(flow, folder)
    if deployment not in known:
        raise ConfigError(
            f"unknown deployment {target!r}{_hint(deployment, known)}; {flow} has: {', '.join(known) or 'none'}"
        )
    tree = _with_parents(folder / flow / f"{deployment}.yaml", ())
    for text in overrides:
        tree = tree.merged(parse_override(text))
    for key in ("flow", "deployment"):
        if key in (tree.children or {}):
            raise ConfigError(f"{tree.origin_of((key,))}: {key} comes from FLOW/DEPLOYMENT; remove the key")
    values = {"flow": flow, "deployment": check_name(deployment, "deployment")} | ({"root": str(root)} if root else {})
    given = Node(tree.origin, children={key: Node(target, value=value) for key, value in values.items()})
    return _validated(model, tree.merged(given))


def load_section(model: type[_Section], path: Path, overrides: Sequence[str] = ()) -> _Section:
    """Load a configuration that belongs to no flow, with the same checks as `load_config`.

    Args:
        model: What the file holds.
        path: The file.
        overrides: ``a.b=value`` each; later ones win.

    Raises:
        ConfigError: As `load_config`.
    """
    tree = _with_parents(path, ())
    for text in overrides:
        tree = tree.merged(parse_override(text))
    return _validated(model, tree)


def read_config(path: Path, root: Path | None = None) -> FlowConfig:
    """Read a configuration that :func:`dump_config` wrote, for example a run's ``config.yaml``.

    Raises:
        ConfigError: The file is missing, or does not fit this version of Engram.
    """
    tree = read_yaml(path)
    flow = str((tree.plain() or {}).get("flow"))
    if root is not None:
        tree = tree.merged(Node("root", children={"root": Node("root", value=str(root))}))
    return _validated(_model(flow, str(path)), tree)


def dump_config(config: FlowConfig) -> bytes:
    """The whole configuration as YAML, without ``root``, so that a copied folder still opens."""
    values = config.model_dump(mode="json", exclude={"root"})
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)).encode()


def known_keys(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """Every dotted key of a configuration with its field: what ``--set`` accepts."""
    keys: dict[str, FieldInfo] = {}
    for name, info in model.model_fields.items():
        keys[prefix + name] = info
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            keys |= known_keys(info.annotation, f"{prefix}{name}.")
    return keys


def _model(flow: str, where: str) -> type[FlowConfig]:
    if flow not in FLOWS:
        raise ConfigError(
            f"{where}: unknown flow {flow!r}{_hint(flow, list(FLOWS))}; expected FLOW/DEPLOYMENT with one of: "
            f"{', '.join(sorted(FLOWS))}"
        )
    return FLOWS[flow]


def _with_parents(path: Path, seen: tuple[Path, ...]) -> Node:
    """A file merged over the files that it extends."""
    tree = read_yaml(path)
    keys = dict(tree.children or {})
    parent = keys.pop("extends", None)
    if parent is None:
        return tree
    if not isinstance(parent.value, str):
        raise ConfigError(f"{parent.origin}: extends expects one file name, found {parent.plain()!r}")
    base = (path.parent / parent.value).resolve()
    if base in (*seen, path.resolve()):
        raise ConfigError(f"{parent.origin}: {path.name} extends itself through {parent.value}")
    if not base.is_file():
        raise ConfigError(f"{parent.origin}: extends names {parent.value}, and there is no such file in {path.parent}")
    return _with_parents(base, (*seen, path.resolve())).merged(Node(tree.origin, children=keys))


def _validated(model: type[_Section], tree: Node) -> _Section:
    try:
        return model.model_validate_json(json.dumps(_filled(model, tree.plain()), default=str))
    except ValidationError as error:
        keys = known_keys(model)
        raise ConfigError("\n".join(_explain(item, tree, keys) for item in error.errors())) from None


def _filled(model: type[BaseModel], given: Any) -> Any:
    """What a part leaves open, from the default that the part has in its model: it may differ from its class's."""
    if not isinstance(given, dict):
        return given
    found = dict(given)
    for name, field in model.model_fields.items():
        if not isinstance(given.get(name), dict):
            continue
        if isinstance(field.default, Section):
            found[name] = _merged(field.default.model_dump(mode="json", exclude_unset=True), found[name])
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        for kind in kinds:  # one, or one beside None
            if issubclass(kind, BaseModel):
                found[name] = _filled(kind, found[name])
    return found


def _merged(default: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Both, part by part; the second counts where they differ."""
    return default | {
        key: _merged(default[key], value) if isinstance(value, dict) and isinstance(default.get(key), dict) else value
        for key, value in given.items()
    }


def _explain(error: Any, tree: Node, keys: dict[str, FieldInfo]) -> str:
    """One line per error: where, which key, what was found, and what would do."""
    location: tuple[str | int, ...] = error["loc"]
    where, key = tree.origin_of(location), ".".join(map(str, location))
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key {key!r}{_nearest_key(key, list(keys))}"
    if error["type"] == "value_error":
        return f"{where}: {key + ': ' if key else ''}{error['ctx']['error']}"
    field = keys.get(key)
    meaning = f" ({field.description})" if field and field.description else ""
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{where}: {key}: {message}, found {error['input']!r}{meaning}"


def _nearest_key(key: str, keys: list[str]) -> str:
    """The likeliest meant key: a sibling with a similar name, the same name elsewhere, or the nearest of all."""
    section, _, name = key.rpartition(".")
    siblings = [k for k in keys if k.rpartition(".")[0] == section]
    near = difflib.get_close_matches(key, siblings, n=1, cutoff=0.6 if not section else 0.75)
    same = [k for k in keys if k.rpartition(".")[2] == name]
    best = (near or same or difflib.get_close_matches(key, keys, n=1, cutoff=0.6))[:1]
    if best:
        return f"; did you mean {best[0]!r}?"
    return f"; known keys there: {', '.join(siblings)}" if siblings else ""


def _hint(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f", did you mean {near[0]!r}?" if near else ""

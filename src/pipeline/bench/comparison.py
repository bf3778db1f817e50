"""``engram bench methods``: nine ways to learn the same facts, under one examination.

engram bench methods --set model.device=cuda                                # everything: suite v1, 12 passes
engram bench methods --set methods='["ours","plain_sft"]' --set facts=4 --set passes=2 --set evaluation.controls=default

Every method has the same base, facts and passes, and a process of its own. It is given train and probe questions
alone; test questions are asked afterwards, as `engram score` asks them. Seconds run from the model's files to what is
examined, on the machine as it is. What is finished is kept in ``benchmarks/methods`` and not computed again by the same
code under the same settings, so a killed comparison goes on where it stopped.

The plot sets held-out EM against the divergence of the worst domain; a mark's area is the training's tokens.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.bench.isolation import in_own_process
from pipeline.bench.methods import Task, method, methods
from pipeline.bench.registry import Figure, Figures, register_benchmark
from pipeline.config.methods import MethodsBenchConfig
from pipeline.errors import EngramError
from pipeline.suites.types import Fact

NEEDS = {"sdft": "trl"}


@register_benchmark(
    "methods", "held-out EM against drift: the night, SFT, full fine-tuning, RAG, self-edits, prefix, SDFT"
)
def compare(settings: Sequence[str]) -> Figures:
    """Learn and examine what has not been done yet; table and plots go to ``benchmarks/methods``.

    Args:
        settings: Overrides of configs/benchmarks/methods.yaml.

    Raises:
        ConfigError: A setting is wrong, or there is no such method or suite.
        DataError: The suite is not the one that was frozen.
        ModelError: The base is not here.
    """
    from pipeline.artifacts import read_json, write_json
    from pipeline.config import config_root, default_root, load_section
    from pipeline.protocol.frozen import frozen, load_frozen

    config = load_section(MethodsBenchConfig, config_root() / "benchmarks" / "methods.yaml", settings)
    names = tuple(dict.fromkeys(config.methods)) or tuple(methods())
    for name in (*names, *config.recipes):
        method(name)
    load_frozen(config.suite, config.facts)
    folder, found, absent = default_root() / "benchmarks" / "methods", {}, {}
    for name in names:
        path = folder / f"{name}-{result_key(name, config)}.json"
        if path.is_file():
            found[name] = read_json(path)
        elif name in NEEDS and find_spec(NEEDS[name]) is None:
            absent[name] = f"not installed: pip install --no-deps {NEEDS[name]}"
        else:
            try:
                found[name], _ = in_own_process(contend, name, config, path.with_suffix(""))
            except EngramError as error:  # the others go on; the same command tries this one again
                absent[name] = f"failed: {error}"
                continue
            write_json(path, found[name])
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
    told: dict[str, Figure] = {"suite": config.suite, "SHA-256": frozen(config.suite).sha256, "facts": config.facts}
    if found:
        told |= _written(folder, found)
    return {**told, **absent, "methods": {name: row_of(one) for name, one in found.items()}}


def _written(folder: Path, found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Write all figures and both plots; returns where."""
    from pipeline.artifacts import write_bytes, write_json
    from pipeline.bench.pareto import pareto_plot
    from pipeline.report.plots import png, svg

    figure = pareto_plot(found)
    write_json(folder / "methods.json", dict(found))
    write_bytes(folder / "methods.png", png(figure))
    write_bytes(folder / "methods.svg", svg(figure))
    return {"figures": str(folder / "methods.json"), "plot": str(folder / "methods.svg")}


def result_key(name: str, config: MethodsBenchConfig) -> str:
    """Digest of all that decides a method's result: its settings, the suite, the base's weights and the code."""
    from pipeline.artifacts import code_version, digest_json
    from pipeline.config import config_dict
    from pipeline.language.models import model_folder, weights_digest
    from pipeline.protocol.frozen import frozen

    own = config.model_copy(update={"methods": (name,), "recipes": {name: config.recipe(name)}})
    base = weights_digest(model_folder(config.model.name))
    return digest_json([config_dict(own), frozen(config.suite).sha256, base, code_version()])[:16]


def without_tests(fact: Fact) -> Fact:
    """The fact as a method may read it."""
    return replace(fact, questions=tuple(q for q in fact.questions if q.split != "test"))


def contend(name: str, config: MethodsBenchConfig, folder: Path) -> dict[str, Any]:
    """One method's training and examination, from the model's files on; ``folder`` is for what it writes.

    Returns:
        What `pipeline.protocol.examination.score_figures` returns, with ``training_tokens``, ``written_tokens``,
        ``parameters``, ``seconds``, ``peak_bytes`` (of the GPU on one, else resident; without the examination) and
        ``memory_on``.
    """
    import peft  # noqa: F401  # loading libraries is nobody's work
    import torch

    from pipeline.artifacts.footprint import peak_memory_bytes
    from pipeline.language.models import load_for_evaluation, resolve_device
    from pipeline.progress import Terminal
    from pipeline.protocol.examination import examine
    from pipeline.protocol.frozen import frozen, load_frozen
    from pipeline.terminal import Console

    learn, suite = method(name), load_frozen(config.suite, config.facts)
    folder.mkdir(parents=True, exist_ok=True)
    facts, others = tuple(map(without_tests, suite.taught)), tuple(map(without_tests, suite.distractors))
    on_gpu = resolve_device(config.model.device).type == "cuda"
    with Terminal(Console(stderr=True)) as shown, shown.stage(name) as progress:
        progress.phase("beginning")
        start = time.perf_counter()
        learned = learn(Task(name, config, facts, others, folder, progress))
        seconds = time.perf_counter() - start
        peak = torch.cuda.max_memory_allocated() if on_gpu else peak_memory_bytes()
        base = load_for_evaluation(config.model)
        entrant = learned.entrant(base)
        figures, _ = examine(base, entrant, suite, config.evaluation, frozen(config.suite).seed, progress)
    return {
        **figures,
        "training_tokens": learned.training_tokens,
        "written_tokens": learned.written_tokens,
        "parameters": learned.parameters,
        "seconds": seconds,
        "peak_bytes": peak,
        "memory_on": not entrant.closed_book,
    }


def row_of(found: Mapping[str, Any]) -> dict[str, Figure]:
    """One line of the table."""
    heldout, sanity, drift = found["held_out"], found["sanity"], found["drift"]
    low, high = heldout["em_ci95"]
    return {
        "held-out EM": heldout["em"],
        "95 %": f"{low:.2f}–{high:.2f}",
        "worst form": heldout["worst_form_em"],
        "untaught": found["untaught"]["em"],
        "near miss": found["near_miss"]["em"],
        "sanity Δ": sanity["delta"],
        "kept": "" if sanity["kept"] is None else sanity["kept"],
        "worst KL": drift["kl_base"],
        "worst ppl ×": drift["ppl_ratio"],
        "takeover": found["takeover"],
        "tokens": found["training_tokens"],
        "written": "" if found["written_tokens"] is None else found["written_tokens"],
        "s": found["seconds"],
        "GiB": found["peak_bytes"] / 2**30,
    }

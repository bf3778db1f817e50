"""``engram bench unsupervised``: MNIST by STDP alone, 400 spiking neurons, one pass, no labels and no gradient.

Labels of some training images say afterwards which classes each neuron's spikes stand for. What the same network
answers before it has learned stands beside, and so do two other ways to read the same spikes: the class of whose
neurons fired most (Diehl & Cook 2015), and the shares of all spikes, each spike alike. ``engram run
plasticity/stdp-only`` is the same neurons as a deployment, with rivals and guards, one seed a run.

engram bench unsupervised                                              # five seeds: three minutes on one core
engram bench unsupervised --set judged_by=validation --set seeds='[1]' # to choose settings
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.bench.registry import Figure, Figures, register_benchmark
from pipeline.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.config.benchmarks import UnsupervisedBenchConfig

Part = tuple["Tensor", "Tensor"]
"""Images (M, 784) and labels (M,)."""

CLASSES = 10


@register_benchmark("unsupervised", "accuracy of digits learned by STDP alone, 400 neurons and one pass, and seconds")
def unsupervised(settings: Sequence[str]) -> Figures:
    """Learn, name and answer with every seed.

    Args:
        settings: Overrides of configs/benchmarks/unsupervised.yaml.

    Raises:
        ConfigError: A setting is wrong.
        DataError: The images are neither here nor to be had, or too few.
    """
    from rich.progress import Progress

    from pipeline.columns.brain import single_thread
    from pipeline.config import config_root, load_section
    from pipeline.config.benchmarks import UnsupervisedBenchConfig
    from pipeline.evaluation.seeds import mean_over_seeds

    config = load_section(UnsupervisedBenchConfig, config_root() / "benchmarks" / "unsupervised.yaml", settings)
    single_thread()
    train, judged = _parts(config)
    with Progress(transient=True) as bars:
        bar = bars.add_task(f"{len(config.seeds)} seeds", total=len(config.seeds))
        rows: dict[str, Mapping[str, Figure]] = {}
        for seed in config.seeds:
            rows[f"seed {seed}"] = one_seed(train, judged, seed, config)
            bars.advance(bar)
    mean = mean_over_seeds([float(row["accuracy"]) for row in rows.values()])
    title = f"{config.dataset}, {config.layer.neurons} neurons, {len(train[1]):,} images once"
    return {f"accuracy on {config.judged_by} images (%)": str(mean), title: rows}


def one_seed(train: Part, judged: Part, seed: int, config: UnsupervisedBenchConfig) -> dict[str, Figure]:
    """A row of the table.

    Args:
        train: What is learned from; the first of them are named by their labels.
        judged: What is asked.
        seed: Of everything random.
        config: Its ``layer``.
    """
    import torch

    from pipeline.plasticity.unsupervised import assign, classify, learn, newborn, respond

    layer, generator = config.layer, torch.Generator().manual_seed(seed)
    named = train[0][: layer.labelled_images], train[1][: layer.labelled_images]
    start = time.perf_counter()
    learned = learn(train[0], layer, generator)
    after = time.perf_counter()
    shares = assign(respond(learned, named[0], layer, generator), named[1], CLASSES)
    spikes = respond(learned, judged[0], layer, generator)
    end = time.perf_counter()
    untaught = newborn(train[0].shape[1], layer, generator)
    before = assign(respond(untaught, named[0], layer, generator), named[1], CLASSES)
    groups = torch.nn.functional.one_hot(shares.argmax(1), CLASSES).float()
    return {
        "accuracy": _share(classify(spikes, shares), judged[1]),
        "every spike alike": _share((spikes @ shares).argmax(1), judged[1]),
        "most active group": _share((spikes @ groups / groups.sum(0).clamp_min(1)).argmax(1), judged[1]),
        "before learning": _share(classify(respond(untaught, judged[0], layer, generator), before), judged[1]),
        "neurons that fire": int((spikes.sum(0) > 0).sum()),
        "spikes an image": float(spikes.sum(1).mean()),
        "learn (s)": after - start,
        "name and answer (s)": end - after,
    }


def _share(answers: Tensor, truth: Tensor) -> float:
    return float((answers == truth).float().mean())


def _parts(config: UnsupervisedBenchConfig) -> tuple[Part, Part]:
    """What is learned from, and what is asked."""
    import torch

    from pipeline.images import load_images

    source = load_images(config.dataset, "train")
    images, labels = torch.tensor(source.images), torch.tensor(source.labels).long()
    first = len(labels) - config.validation_images
    if first < 1:
        raise DataError(
            f"{config.dataset} has {len(labels)} training images here, of which validation_images="
            f"{config.validation_images} leave none to learn from; set a smaller number"
        )
    train = images[:first][: config.images], labels[:first][: config.images]
    if config.judged_by == "validation":
        return train, (images[first:], labels[first:])
    test = load_images(config.dataset, "test")
    return train, (torch.tensor(test.images), torch.tensor(test.labels).long())

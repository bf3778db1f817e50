"""``engram bench plasticity``: the update of 784 x 200 weights by spikes, against SpikingJelly's STDPLearner.

Both get the same spikes of 8 steps and 64 samples and give the same change (the largest difference is printed, as a
share of the largest change); forward passes are not timed. The peer multiplies both sides of every sample and step for
every synapse, in memory. Ours filters the side with fewer neurons and is one product of matrices, with soft bounds two:
what processor and matrix library reach in a large product of the same type is the limit. Bytes are those of spikes,
weights and change, each touched once.

Below stand the other rules, and the change of a weight through the pairing protocol of visual cortex by the triplet
rule's published constants, beside what was measured; the plot goes to ``benchmarks/plasticity``.

engram bench plasticity
engram bench plasticity --set behind=400 --set steps=32
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.bench.registry import Figure, Figures, register_benchmark

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Plot
    from torch import Tensor

    from pipeline.config.benchmarks import PlasticityBenchConfig
    from pipeline.plasticity.rule import Rule

UPDATES = 10  # of ours in a turn
PEER = "SpikingJelly's STDPLearner"
SPIKINGJELLY = {"decay": "euler", "reduction": "sum", "pair": {"a_plus": 1.0, "a_minus": 1.0}, "learning_rate": 1.0}
CARRIED, SOFT = "pair, traces carried over", "pair, traces carried over, soft bounds"
WAYS: dict[str, dict[str, Any]] = {
    "pair": SPIKINGJELLY,
    CARRIED: SPIKINGJELLY | {"carry": True},
    SOFT: SPIKINGJELLY | {"carry": True, "bounds": {"kind": "soft", "w_min": 0.0, "w_max": 1.0}},
    "triplet": {"rule": "triplet"},
    "homeostatic": {"rule": "homeostatic"},
    "bcm": {"rule": "bcm"},
    "reward": {"rule": "reward"},
}
PRODUCTS = {SOFT: 2, "triplet": 2}
"""Products of matrices of an update, where not 1."""

Update = Callable[[], "Tensor"]


@register_benchmark("plasticity", "milliseconds of an STDP update of 784 x 200 weights, against SpikingJelly")
def plasticity(settings: Sequence[str]) -> Figures:
    """Time every rule and the peer in turns, then follow the pairing protocol.

    Args:
        settings: Overrides of configs/benchmarks/plasticity.yaml.

    Raises:
        ConfigError: A setting is wrong.
    """
    import torch

    from pipeline.artifacts import write_bytes
    from pipeline.bench.sleep import product_rate
    from pipeline.columns.brain import single_thread
    from pipeline.config import config_root, default_root, load_section
    from pipeline.config.benchmarks import PlasticityBenchConfig
    from pipeline.config.plasticity import RuleConfig
    from pipeline.plasticity.rule import new_rule
    from pipeline.report.plots import png

    config = load_section(PlasticityBenchConfig, config_root() / "benchmarks" / "plasticity.yaml", settings)
    single_thread()
    pre, post, weight = _layer(config)
    rules = {name: new_rule(RuleConfig.model_validate(values)) for name, values in WAYS.items()}
    ours = {name: _ours(rule, weight, pre, post) for name, rule in rules.items()}
    limit = 0.0
    seconds: dict[str, list[float]] = {name: [] for name in (*ours, PEER)}
    change = weight
    for _ in range(config.rounds):
        limit = max(limit, product_rate(torch.device("cpu"), torch.float32))
        for name, update in ours.items():
            for _ in range(UPDATES):
                seconds[name].append(_timed(update)[0])
        once, change = _timed(_spikingjelly(weight, pre, post))
        seconds[PEER].append(once)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    off = float((ours[CARRIED]() - change).abs().max() / change.abs().max())
    rows = {name: _row(name, config, medians, limit) for name in medians}
    protocols = fits()
    write_bytes(default_root() / "benchmarks" / "plasticity" / "pairing.png", png(pairing_plot(protocols)))
    title = f"{config.before} x {config.behind} weights, {config.steps} steps, {config.samples} samples, one thread"
    return {
        "faster than STDPLearner by": medians[PEER] / medians[CARRIED],
        "largest difference to STDPLearner": off,
        "limit (GFLOP/s)": limit / 1e9,
        title: rows,
        "pairing protocol: change of the weight": pairing_table(protocols),
    }


def fits() -> dict[str, dict[float, list[float]]]:
    """What the published fits of the triplet rule to visual cortex give, by name, lag and in order of frequencies."""
    from pipeline.config.plasticity import RuleConfig
    from pipeline.plasticity.pairing import protocol
    from pipeline.plasticity.rule import new_rule
    from pipeline.plasticity.rules.triplet import FITS

    base = RuleConfig(rule="triplet", learning_rate=1.0, reduction="sum")
    chosen = {name: fit for name, fit in FITS.items() if name.startswith("visual")}
    return {name: protocol(new_rule(base.model_copy(update={"triplet": fit}))) for name, fit in chosen.items()}


def pairing_table(found: Mapping[str, Mapping[float, Sequence[float]]]) -> dict[str, dict[str, Figure]]:
    """Rows by lag and frequency: what was measured, and the `fits`."""
    from pipeline.plasticity.pairing import FREQUENCIES, LAGS, MEASURED, misfit

    rows: dict[str, dict[str, Figure]] = {
        f"{lag:+.0f} ms, {frequency:g} Hz": {
            "measured": MEASURED[lag][at][0],
            "its standard error": MEASURED[lag][at][1],
            **{name: changes[lag][at] for name, changes in found.items()},
        }
        for lag in LAGS
        for at, frequency in enumerate(FREQUENCIES)
    }
    rows["mean squared distance, in errors"] = {name: misfit(changes) for name, changes in found.items()}
    return rows


def pairing_plot(found: Mapping[str, Mapping[float, Sequence[float]]]) -> Plot:
    """Change of a weight by the frequency of pairs: what was measured with its errors, and the `fits` as lines."""
    from pipeline.plasticity.pairing import FREQUENCIES, LAGS, MEASURED
    from pipeline.report.plots import BLUE, ORANGE, new_axes

    figure, axes = new_axes("Sixty pairs: change of the weight by their frequency", height=3.6)
    for lag, colour in zip(LAGS, (BLUE, ORANGE), strict=True):
        means, errors = zip(*MEASURED[lag], strict=True)
        axes.errorbar(FREQUENCIES, means, errors, fmt="o", color=colour, capsize=3, label=f"{lag:+.0f} ms, measured")
        for (name, changes), style in zip(found.items(), ("-", "--"), strict=True):
            axes.plot(FREQUENCIES, changes[lag], style, color=colour, label=f"{lag:+.0f} ms, {name}")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(xlabel="pairs a second", ylabel="change, share of the weight")
    axes.legend(fontsize=7)
    return figure


def _layer(config: PlasticityBenchConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes of both sides, (T, B, N) each, and weights between 0 and 1, (N_out, N_in)."""
    import torch

    generator = torch.Generator().manual_seed(config.seed)
    pre, post = (
        (torch.rand(config.steps, config.samples, count, generator=generator) < config.rate).float()
        for count in (config.before, config.behind)
    )
    return pre, post, torch.rand(config.behind, config.before, generator=generator)


def _ours(rule: Rule, weight: Tensor, pre: Tensor, post: Tensor) -> Update:
    import torch

    reward = torch.tensor(1.0)
    return lambda: rule.change(weight, pre, post, reward=reward)[0]


def _spikingjelly(weight: Tensor, pre: Tensor, post: Tensor) -> Update:
    """The peer with what it records of a forward pass."""
    import torch
    from spikingjelly.activation_based.learning import STDPLearner
    from torch import nn

    synapse, neuron = nn.Linear(weight.shape[1], weight.shape[0], bias=False), nn.Identity()
    synapse.weight.data.copy_(weight)
    learner = STDPLearner("m", synapse, neuron, 20.0, 20.0, f_pre=torch.ones_like, f_post=torch.ones_like)
    with torch.no_grad():
        synapse(pre)
        neuron(post)

    def update() -> Tensor:
        change: Tensor = learner.step(on_grad=False)
        learner.close()
        return change

    return update


def _timed(update: Update) -> tuple[float, Tensor]:
    start = time.perf_counter()
    change = update()
    return time.perf_counter() - start, change


def _row(name: str, config: PlasticityBenchConfig, medians: dict[str, float], limit: float) -> dict[str, Figure]:
    """Time, and for ours the work and its share of the limit."""
    row: dict[str, Figure] = {"update (ms)": 1000 * medians[name], "STDPLearner takes": medians[PEER] / medians[name]}
    if name == PEER:
        return row
    synapses, events = config.before * config.behind, config.steps * config.samples
    summed = config.samples if name == "bcm" else events
    work = 2 * PRODUCTS.get(name, 1) * synapses * summed
    touched = 4 * (events * (config.before + config.behind) + 2 * synapses)
    return row | {
        "MFLOP": work / 1e6,
        "MB": touched / 1e6,
        "GFLOP/s": work / medians[name] / 1e9,
        "share of limit": work / medians[name] / limit,
    }

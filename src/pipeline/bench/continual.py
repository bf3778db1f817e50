"""``engram bench continual``: soft columns with sleep beside naive training, EWC, ER and DER++ in the same network.

engram bench continual                                                     # everything: about two hours on two cores
engram bench continual --set streams='["mnist-class"]' --set seeds='[1]'   # one table, one seed
engram bench continual --set tune=true                                     # each method's four trials, on validation
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.bench.registry import Figures, Rows, register_benchmark

if TYPE_CHECKING:
    from pipeline.config import ContinualConfig
    from pipeline.continual.comparison import Run
    from pipeline.continual.protocol import Outcome

ROUNDED = 4  # digits of a trial's accuracy


@register_benchmark("continual", "accuracy after a stream of tasks, against naive, EWC, ER and DER++ at equal memory")
def continual(settings: Sequence[str]) -> Figures:
    """Run what has not been run, and compare; plots and every run's outcome go to ``benchmarks/continual``.

    Args:
        settings: Overrides of configs/benchmarks/continual.yaml.

    Raises:
        ConfigError: A setting is wrong, or a method has not been tuned for a stream.
        DataError: The images are neither here nor to be had.
    """
    from rich.progress import Progress

    from pipeline.config import ContinualConfig, config_root, default_root, load_section
    from pipeline.continual.comparison import code_digest, outcomes, runs_of

    config = load_section(ContinualConfig, config_root() / "benchmarks" / "continual.yaml", settings)
    folder = default_root() / "benchmarks" / "continual"
    runs = runs_of(config)
    with Progress(transient=True) as bars:
        bar = bars.add_task(f"{len(runs)} runs", total=len(runs))
        done = outcomes(runs, folder, code_digest(), config.processes, lambda: bars.advance(bar))
    found = dict(zip(runs, done, strict=True))
    return _best_trials(found) if config.tune else _tables(config, found)


def _tables(config: ContinualConfig, found: dict[Run, Outcome]) -> Figures:
    from pipeline.artifacts import write_bytes
    from pipeline.config import default_root
    from pipeline.continual.table import accuracy_plot, rows_of
    from pipeline.report.plots import png

    figures: dict[str, Rows] = {}
    for stream in config.streams:
        by_method: dict[str, list[Outcome]] = {}
        for each, outcome in found.items():
            if each.stream == stream:
                by_method.setdefault(each.method, []).append(outcome)
        published = config.published.get(stream, {})
        figures[stream] = rows_of(by_method, published)
        path = default_root() / "benchmarks" / "continual" / f"{stream}.png"
        write_bytes(path, png(accuracy_plot(stream, by_method, published)))
    return figures


def _best_trials(found: dict[Run, Outcome]) -> Figures:
    """By stream and method, the trial with the highest mean accuracy on validation images."""
    by_trial: dict[tuple[str, str], dict[str, list[float]]] = {}
    for each, outcome in found.items():
        trials = by_trial.setdefault((each.stream, each.method), {})
        trials.setdefault(each.trial, []).append(outcome.accuracy)
    figures: dict[str, dict[str, dict[str, float | int | str]]] = {}
    for (stream, method), trials in by_trial.items():
        means = {trial: sum(values) / len(values) for trial, values in trials.items()}
        best = max(means, key=lambda trial: means[trial])
        others = sorted((round(mean, ROUNDED) for mean in means.values()), reverse=True)[1:]
        row: dict[str, float | int | str] = {
            "chosen": best,
            "accuracy": round(means[best], ROUNDED),
            "other trials": " ".join(map(str, others)),
        }
        figures.setdefault(stream, {})[method] = row
    return figures

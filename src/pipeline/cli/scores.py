"""``engram score``: any checkpoint on a frozen suite, and what an entrant may train on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.terminal import Console


def score(
    entrant: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL_OR_ADAPTER",
            help="A Hugging Face folder with a model, a PEFT adapter's folder, a run, champion, or none for the base.",
            show_default=False,
        ),
    ] = None,
    suite: Annotated[str, typer.Option("--suite", metavar="NAME", help="Frozen suite.")] = "v1",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Change a setting, e.g. model.name=BASE; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write all figures as JSON.", show_default=False)
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="DIR",
            help="Write what an entrant may train on into a new folder, with the rules.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Score a checkpoint on a frozen, hashed suite: held-out facts, controls, and what else it forgot.

    The suite's SHA-256 is checked before anything is asked, and printed. Everything is compared with the same base.
    """
    from pipeline.errors import ConfigError
    from pipeline.protocol.entry_kit import export_kit
    from pipeline.protocol.frozen import frozen

    if (entrant is None) == (export is None):
        raise ConfigError("expected either MODEL_OR_ADAPTER to score, or --export DIR")
    console = Console()
    if export is not None:
        with console.status("writing what an entrant may read"):
            written = export_kit(suite, export)
        console.print(f"facts and rules in {written}", soft_wrap=True, highlight=False)
        console.print(f"suite {suite}, SHA-256 {frozen(suite).sha256}", soft_wrap=True, highlight=False)
        return
    assert entrant is not None
    found = _score(console, entrant, suite, tuple(settings or ()))
    console.print(score_table(found))
    if not found["suite"]["complete"]:
        console.print("[yellow]a part of the suite, or other settings: comparable with nobody's score[/yellow]")
    if out is not None:
        from pipeline.artifacts import write_json

        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, found)
        console.print(f"figures {out}", soft_wrap=True, highlight=False)


def _score(console: Console, entrant: str, suite: str, settings: tuple[str, ...]) -> dict[str, Any]:
    from pipeline.config import config_root, default_root, load_section
    from pipeline.config.protocol import ScoreConfig
    from pipeline.progress import Terminal
    from pipeline.protocol.frozen import frozen, load_frozen
    from pipeline.protocol.score import score as examine

    config = load_section(ScoreConfig, config_root() / "benchmarks" / "score.yaml", settings)
    with console.status("generating the suite"):
        load_frozen(suite, config.facts)
    console.print(f"suite {suite}, SHA-256 {frozen(suite).sha256}", soft_wrap=True, highlight=False)
    with Terminal(console) as shown, shown.stage("score") as progress:
        return examine(entrant, suite, config, default_root(), progress)


def score_table(found: dict[str, Any]) -> Table:
    """The figures of ``score.json`` in one table."""
    heldout, sanity, drift = found["held_out"], found["sanity"], found["drift"]
    low, high = heldout["em_ci95"]
    kept = "" if sanity["kept"] is None else f", {sanity['kept']:.1%} of the right answers kept"
    rows = {
        "held-out EM": f"{heldout['em']:.3f}  (95 % {low:.3f}–{high:.3f}, by fact), the base {found['base']['em']:.3f}",
        "worst form": f"{heldout['worst_form_em']:.3f}  {heldout['worst_form']}",
        "untaught EM": f"{found['untaught']['em']:.3f}",
        "near miss": f"{found['near_miss']['em']:.3f}  (low is good)",
        "sanity": f"{sanity['delta']:+.3f} over {sanity['n']} questions{kept}",
        "takeover": f"{found['takeover']:.3f}",
    }
    for domain, kl in drift["kl_by_domain"].items():
        rows[f"drift, {domain}"] = f"{kl:.4f} nats a token, perplexity × {drift['ppl_by_domain'][domain]:.4f}"
    rows["worst drift"] = f"{drift['kl_base']:.4f} nats a token, perplexity × {drift['ppl_ratio']:.4f}"
    who = f"{found['entrant']['kind']} {found['entrant']['name']} on {found['base']['name']}"
    table = Table("figure", "value", title=f"{found['suite']['facts']} facts: {who}", title_justify="left")
    for name, value in rows.items():
        table.add_row(name, value)
    return table

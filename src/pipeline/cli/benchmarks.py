"""``engram bench``: timings, which are printed and never asserted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipeline.terminal import Console

if TYPE_CHECKING:
    from pipeline.bench.registry import Figure, Figures, Rows


def bench(
    name: Annotated[
        str | None, typer.Argument(help="Benchmark; leave it out to list them.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a setting; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure how fast this machine trains, generates, stores, …"""
    from pipeline.bench import BenchmarkFailed, benchmark, benchmarks

    console = Console()
    if name is None:
        table = Table("benchmark", "measures", title="engram bench NAME", title_justify="left")
        for known, description in benchmarks().items():
            table.add_row(known, description)
        console.print(table)
        return
    try:
        figures = benchmark(name)(tuple(settings or ()))
    except BenchmarkFailed as found:  # what was done is worth seeing all the same
        _show(console, name, found.figures, as_json)
        raise
    _show(console, name, figures, as_json)


def _show(console: Console, name: str, figures: Figures, as_json: bool) -> None:
    """Single figures in one table, and a table each for the others."""
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    single = {key: value for key, value in figures.items() if not isinstance(value, Mapping)}
    if single:
        table = Table("figure", "value", title=name, title_justify="left")
        for key, value in single.items():
            table.add_row(key, _text(value))
        console.print(table)
    for title, rows in figures.items():
        if isinstance(rows, Mapping):
            ways = [_table(title, rows), _table(title, _turned(rows))]
            fitting = [table for table in ways if _width(console, table) <= console.width]
            console.print(fitting[0] if fitting else min(ways, key=lambda table: _width(console, table)))


def _width(console: Console, table: Table) -> int:
    """Columns of a terminal that a table would take if it had them."""
    return console.measure(table, options=console.options.update(width=10_000)).maximum


def _table(title: str, rows: Rows) -> Table:
    columns = list(_turned(rows))
    table = Table("", *columns, title=title, title_justify="left")
    for key, row in rows.items():
        table.add_row(key, *(_text(row.get(column, "")) for column in columns))
    return table


def _turned(rows: Rows) -> Rows:
    """Rows as columns: of every figure, what it is in each row that has it."""
    columns = dict.fromkeys(column for row in rows.values() for column in row)
    return {column: {key: row[column] for key, row in rows.items() if column in row} for column in columns}


def _text(value: Figure) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:,.4g}"

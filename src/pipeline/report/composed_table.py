"""Facts put together, as a table: the base, asked at once, and asked in steps, side by side."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.report.composed import MeanFigure, Relational, Spatial, UnseenPairs
from pipeline.report.figures import NOT_MEASURED, Table, interval, number
from pipeline.report.schema import Report

COLUMNS = ("what is asked", "at once, before", "at once", "in steps, before", "in steps", "the single steps")
_JOINS = {"join": "joins", "two_step_one_prompt": "joins, the steps in one answer"}
_PAIRS = {"next": "first place of an unseen way", "steps": "length of an unseen way", "walk": "end of two steps"}


def composed_table(report: Report) -> Table:
    """What follows from several facts together, memory off; no rows where it was not asked."""
    rows = [*_joins(report.relational), *_pairs(report.spatial)]
    return Table("Facts put together", COLUMNS, tuple((title, *map(_cell, figures)) for title, *figures in rows))


_Row = tuple[str, MeanFigure | None, MeanFigure | None, MeanFigure | None, MeanFigure | None, MeanFigure | None]


def _joins(told: Relational | None) -> Iterator[_Row]:
    if told is None:
        return
    prior = told.prior or {}
    after = {
        kind: MeanFigure(mean=getattr(told, kind), ci95=(told.ci95 or {}).get(kind), n=n) for kind, n in told.n.items()
    }
    for kind, title in _JOINS.items():
        if kind in after:
            steps = (prior.get("two_step"), after.get("two_step"), told.hops) if kind == "join" else (None, None, None)
            yield title, prior.get(kind), after[kind], *steps


def _pairs(told: Spatial | None) -> Iterator[_Row]:
    for kind, pairs in told.unseen_pairs.items() if told else ():
        title = f"{_PAIRS.get(kind, kind)} (a guesser {number(pairs.majority, 2)})"
        after = MeanFigure(mean=pairs.em, ci95=pairs.ci95, n=pairs.n)
        yield title, _before(pairs), after, pairs.two_step_prior, pairs.two_step, pairs.hops


def _before(pairs: UnseenPairs) -> MeanFigure | None:
    return None if pairs.before is None else MeanFigure(mean=pairs.before, ci95=pairs.before_ci95, n=pairs.n)


def _cell(figure: MeanFigure | None) -> str:
    if figure is None:
        return NOT_MEASURED
    return f"{number(figure.mean, 2)} ({interval(figure.ci95)}, n {figure.n})"

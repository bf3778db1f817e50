"""``engram forget``: an item leaves the memory and every file at once, and the weights in the next night."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.terminal import Console


def forget(
    item: Annotated[str, typer.Option("--id", metavar="ID", help="Which item, as `engram teach` showed it.")],
    session: Annotated[str, typer.Option("--session", metavar="S", help="Store that holds it.")] = "default",
) -> None:
    """Forget one item: its text leaves every file now, and the next night of its session unlearns it.

    Stores, run folders, reports, MLflow and logs keep no text of it; until the night, one private file keeps its
    questions. Repeat the command if it was cut short.
    """
    from pipeline.config import default_root
    from pipeline.sessions.forgetting import forget as forget_item

    console = Console()
    with console.status(f"taking {item} out of every file"):
        told = forget_item(session, item, default_root())
    done = told.erased
    lines = [
        f"{item} is gone from session {session}: {done.stores} store files and {done.runs} runs rewritten "
        f"({done.restarted} unfinished, to start anew), {done.tracked} MLflow runs and {done.logs} logs looked "
        f"through, {done.replies} kept replies of the base removed",
    ]
    if told.left:
        lines.append("still told by: " + ", ".join(map(str, told.left)) + "; repeat the command")
    if told.source:
        lines.append(f"It came from {told.source}; that file is yours and was not touched")
    lines += [
        "The weights still know it until the next night unlearns it:",
        f"  engram run consolidation/nightly --set session={session}",
        f"Until then its questions stand in {told.pending}, which that night deletes",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

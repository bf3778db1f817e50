"""``engram teach`` and ``engram ask``: write into a memory, and ask with it or without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.terminal import Console

if TYPE_CHECKING:
    from pipeline.reading import Reading
    from pipeline.sessions.lessons import Lesson

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Change a setting, e.g. gate.enforce=true; repeatable."),
]


def teach(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="Facts as JSON lines (only id and text are required), Markdown, text, a chat log (JSON lines of role "
            "and content), or a folder of notes and chats.",
        ),
    ],
    session: Annotated[
        str | None,
        typer.Option(
            "--session", metavar="S", help="Store to write into.", show_default="each row's session, else default"
        ),
    ] = None,
    settings: Settings = None,
) -> None:
    """Write facts, notes or chats into a session's memory at once; what is stored already is reused.

    Notes become one episode a paragraph or short section, chats one an exchange; each keeps its file and lines.
    Everything passes the write gate: its score is recorded, and with gate.enforce=true a low one is refused.
    """
    from pipeline.reading import is_readable, read_path
    from pipeline.sessions.lessons import teach_file, teach_reading
    from pipeline.stages.night import configure

    console = Console()
    config = configure("consolidation/facts", settings or ())
    with console.status(f"reading {escape(str(file))}, judging everything in it"):
        reading = read_path(file) if is_readable(file) else None
        lessons = [teach_reading(reading, session, config)] if reading else teach_file(file, session, config)
    if reading:
        _show_files(console, file, reading)
    _show_lessons(console, lessons)
    first = lessons[0].session
    night = f"nightly --set session={first}" if reading else f"facts --set suite.path={escape(str(file))}"
    console.print(f"\nLet it sleep on them:  engram run consolidation/{night}", highlight=False, soft_wrap=True)
    console.print(
        f'Ask at once:           engram ask "…" --memory on --adapter none --session {first}',
        highlight=False,
        soft_wrap=True,
    )


def _show_files(console: Console, path: Path, reading: Reading) -> None:
    """What was taken from which file."""
    table = Table("file", "kind", title=f"Read from {escape(str(path))}", title_justify="left")
    for name in ("passages", "repeated"):
        table.add_column(name, justify="right")
    for file in reading.files:
        counts = (str(len(file.passages)), str(file.repeated)) if file.kind else ("", "")
        table.add_row(escape(file.name), file.kind or f"[dim]left out{file.why and f': {file.why}'}[/dim]", *counts)
    console.print(table)


def _show_lessons(console: Console, lessons: Sequence[Lesson]) -> None:
    """The gate's verdicts and what became of what was judged, session by session."""
    for lesson in lessons:
        table = Table(
            "id", "surprise", "novelty", "score", "gate", "why", title=f"Session {lesson.session}", title_justify="left"
        )
        for row in lesson.decisions[:20]:
            verdict = "[green]accepted[/green]" if row.accepted else "[yellow]below threshold[/yellow]"
            table.add_row(
                escape(row.episode_id),
                f"{row.surprise:.2f}",
                f"{row.novelty:.2f}",
                f"{row.score:.2f}",
                verdict,
                escape(row.reason),
            )
        if len(lesson.decisions) > 20:
            table.caption = f"and {len(lesson.decisions) - 20} more"
        console.print(table)
        told = lesson.report
        console.print(
            f"{len(told.written)} written, {len(told.reused)} already known, {len(told.replaced)} replaced, "
            f"{len(told.refused)} refused; the store holds {lesson.size} episodes in {escape(str(lesson.folder))}",
            highlight=False,
            soft_wrap=True,
        )


def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="One question, in plain words.")],
    memory: Annotated[
        Literal["on", "off"],
        typer.Option("--memory", help="on: answer from retrieved memories; off: from the weights alone."),
    ] = "off",
    adapter: Annotated[
        str, typer.Option("--adapter", metavar="champion|none|PATH", help="Which night's adapter to use.")
    ] = "champion",
    session: Annotated[
        str | None,
        typer.Option(
            "--session", metavar="S", help="Store to retrieve from.", show_default="the adapter's run, else the newest"
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=20, help="Memories to retrieve; nights are examined with 1.")] = 1,
    slow: Annotated[
        bool, typer.Option("--slow", help="Answer with the slow average over nights that lies beside the adapter.")
    ] = False,
    count: Annotated[
        bool, typer.Option("--count/--no-count", help="Let the next night know that this memory was used.")
    ] = True,
    settings: Settings = None,
) -> None:
    """Ask the model one question, closed book or with its memory."""
    from pipeline.config import default_root
    from pipeline.sessions.asking import ask_question

    console = Console()
    with console.status("thinking"):
        reply = ask_question(
            question,
            memory=memory == "on",
            adapter=adapter,
            session=session,
            k=k,
            root=default_root(),
            count=count,
            slow=slow,
            overrides=tuple(settings or ()),
        )
    for found in reply.memories:
        console.print(f"[dim]{found.score:.2f}  {escape(found.text)}[/dim]", highlight=False, soft_wrap=True)
    console.print(reply.text, highlight=False, markup=False, soft_wrap=True)
    console.print(f"[dim]{escape(reply.setting)}[/dim]", highlight=False, soft_wrap=True)

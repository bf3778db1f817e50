"""From an error to an exit status and one message; a traceback goes to a file, never to the terminal."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from pipeline.errors import EngramError
from pipeline.terminal import visible

GUARD_FAILED = 1
BAD_INPUT = 2
UNEXPECTED = 3
INTERRUPTED = 130
LONGEST = 4000
_USER_INFO = re.compile(r"://[^/\s@]+@")  # name and password of an address

_BAD_PLACE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.EFBIG,
}


class Guarded(TyperGroup):
    """The command group that turns errors into exit statuses."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            typer.Exit: With 2 for an error that the user can mend, 3 for one that nobody foresaw, 130 on Ctrl-C.
        """
        try:
            return super().invoke(ctx)
        except EngramError as error:
            say(str(error))
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt:
            say("interrupted; the same command resumes where it stopped, finished stages are kept")
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            if error.errno not in _BAD_PLACE:
                raise typer.Exit(_unexpected(error)) from None
            place = error.filename2 or error.filename  # of a copy, what is written
            where = f": {place}" if place else ""
            say(f"{error.strerror or error}{where}")
            raise typer.Exit(BAD_INPUT) from None
        except Exception as error:
            if isinstance(error, typer.Exit | typer.Abort) or type(error).__module__.startswith(("click", "typer")):
                raise
            raise typer.Exit(_unexpected(error)) from None


def say(message: str) -> None:
    """Print one error message to stderr, at most `LONGEST` characters, without passwords and control characters."""
    message = message if len(message) <= LONGEST else f"{message[:LONGEST]} … ({len(message):,} characters in all)"
    message = _USER_INFO.sub("://…@", message)
    typer.secho("error: ", fg=typer.colors.RED, bold=True, err=True, nl=False)
    typer.echo(visible(message).encode("utf-8", "replace").decode(), err=True)


def _unexpected(error: BaseException) -> int:
    """Save the traceback in the run's folder, if the error carries one, else in the temporary folder."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = getattr(error, "engram_folder", None) or Path(tempfile.gettempdir())
    path = Path(folder) / f"traceback-{stamp}-{os.getpid()}.txt"
    text = "".join(traceback.format_exception(error))
    try:
        path.write_text(text)
        say(f"unexpected {type(error).__name__}: {_first_line(error)}; the traceback is in {path}")
    except OSError:
        say(f"unexpected {type(error).__name__}: {_first_line(error)}")
    return UNEXPECTED


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:300]

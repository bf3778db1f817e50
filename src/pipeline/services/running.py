"""The Prefect server of a start, if it runs: one look at the record, for everybody who asks the server something."""

from __future__ import annotations

from pipeline.services import processes
from pipeline.services.api import PrefectServer
from pipeline.services.processes import State


def prefect_server(state: State | None) -> PrefectServer | None:
    """A client of the server, at the address that it was opened on; None where it does not run.

    Args:
        state: The record of a start; None where nothing was started.
    """
    service = state.find("prefect") if state else None
    if state is None or service is None or service.port is None or processes.leader(service) is None:
        return None
    return PrefectServer(service.port, state.host)

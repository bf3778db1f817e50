"""What a Prefect server is told before the workers start: pools, limits, automations, whom to page, missed nights."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import yaml

from pipeline.errors import ServiceError
from pipeline.services.api import ALIVE, PrefectServer
from pipeline.services.layout import repository
from pipeline.services.workers import Asked, Missed, slots

Say = Callable[[str], None]

PAGE_VARIABLE = "ENGRAM_PAGE_URL"
PAGE_BLOCK = "engram-page"
"""Prefect's block, encrypted at rest, that holds the URL to tell of nights that fail."""


def configure(server: PrefectServer, asked: Asked, say: Say) -> None:
    """Pools, limits and automations; and an end to runs whose workers died with an earlier start.

    Args:
        server: A healthy server.
        asked: How many workers will start, what becomes of missed nights, and whom to page.
        say: Receives one line per thing that a person should know.

    Raises:
        ServiceError: The server refuses a request.
    """
    server.ensure_pool("cpu", "Teach, store, sample, promote and report.")
    server.ensure_pool("cuda", "Distil, train and examine; one run a GPU.")
    for slot in slots(asked):
        server.ensure_limit(slot, 1)
    pager = ensure_pager(server, asked.page or os.environ.get(PAGE_VARIABLE))
    for automation in automations(pager):
        server.ensure_automation(automation)
    for run in server.flow_runs(200, ALIVE):
        server.force_state(run, "CRASHED", "its worker ended before this start of the services")
    settle_missed(server, asked.missed, say)


def automations(pager: str | None) -> list[dict[str, Any]]:
    """What deployments/automations.yaml asks for.

    Args:
        pager: Id of the block that pages; None leaves out what would need it.
    """
    source = repository() / "deployments" / "automations.yaml"
    found = []
    for automation in yaml.safe_load(source.read_text())["automations"]:
        pages = [action for action in automation["actions"] if action["type"] == "call-webhook"]
        if pages and pager is None:
            continue
        if any(action.get("block_document") != PAGE_BLOCK for action in pages):
            raise ServiceError(f"{source}: {automation['name']}: a webhook names block_document: {PAGE_BLOCK}")
        found.append(automation | {"actions": [_paging(action, pager) for action in automation["actions"]]})
    return found


def _paging(action: dict[str, Any], pager: str | None) -> dict[str, Any]:
    """An action with the block's id in the place of its name."""
    if "block_document" not in action:
        return action
    return {key: value for key, value in action.items() if key != "block_document"} | {"block_document_id": pager}


def ensure_pager(server: PrefectServer, url: str | None) -> str | None:
    """Id of the block that pages, created or changed where a URL is given; None when nobody is to be paged."""
    known = server.call("GET", f"/block_types/slug/webhook/block_documents/name/{PAGE_BLOCK}", missing_ok=True)
    if url is None:
        return None if known is None else str(known["id"])
    if not url.startswith(("http://", "https://")):
        raise ServiceError("the page's URL has to begin with http:// or https://")  # it may hold a secret: not shown
    data = {"url": url, "method": "POST"}
    if known is not None:
        server.call("PATCH", f"/block_documents/{known['id']}", {"data": data, "merge_existing_data": False})
        return str(known["id"])
    kind = server.call("GET", "/block_types/slug/webhook")
    wanted = {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}}
    schema = server.call("POST", "/block_schemas/filter", wanted)[0]
    body = {"name": PAGE_BLOCK, "data": data, "block_type_id": kind["id"], "block_schema_id": schema["id"]}
    return str(server.call("POST", "/block_documents/", body)["id"])


def paused_deployments(server: PrefectServer) -> list[str]:
    """Ids of the deployments that somebody paused; ``prefect deploy`` would start their schedules again."""
    return [str(row["id"]) for row in server.deployments() if row["paused"]]


def pause_again(server: PrefectServer, deployments: list[str]) -> None:
    """Pause what `paused_deployments` found, after a deploy; it removes the runs that were planned meanwhile."""
    for identity in deployments:
        server.call("POST", f"/deployments/{identity}/pause_deployment", {}, missing_ok=True)


def settle_missed(server: PrefectServer, missed: Missed, say: Say) -> None:
    """Decide about nights whose time passed while nothing ran.

    A continuing night learns everything that was taught since the last one, so one night makes up for any number of
    missed ones: with ``once`` the newest of each deployment starts now and the others are cancelled; with ``skip`` all
    are cancelled, and what was taught waits for the next scheduled night.
    """
    overdue = defaultdict(list)
    for run in server.overdue_runs():
        overdue[run["deployment_id"]].append(run)
    for runs in overdue.values():
        runs.sort(key=lambda run: str(run["expected_start_time"]))
        kept = runs.pop() if missed == "once" else None
        for run in runs:
            why = "the newest missed night makes up for it" if kept else "missed nights are skipped"
            server.force_state(run, "CANCELLED", f"missed: the services did not run at that time; {why}")
        told = f"{len(runs) + (kept is not None)} scheduled runs were missed"
        say(f"{told}; the newest starts now" if kept else f"{told} and are skipped")

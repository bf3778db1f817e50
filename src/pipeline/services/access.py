"""Who may reach the services: this machine alone, or whoever knows the password of an address opened on purpose.

    PREFECT_SERVER_API_AUTH_STRING=name:password engram up --host 10.0.0.5

Name and password come from the environment, are handed on in the environment, and are never written, printed or given
as an argument. Prefect checks them itself; in front of MLflow, whose own application needs a package more and a
database of users, stands `pipeline.services.mlflow_server`.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping

from pipeline.errors import ServiceError

SERVER, CLIENT = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"
LOOPBACK = "127.0.0.1"


def credentials(environment: Mapping[str, str] = os.environ) -> str | None:
    """``name:password`` of the services, as the environment has it; None where there is none.

    Raises:
        ServiceError: It has another form. The message does not repeat it.
    """
    found = environment.get(SERVER) or environment.get(CLIENT)
    if not found:
        return None
    name, colon, password = found.partition(":")
    if not (name and colon and password) or not found.isascii() or not found.isprintable():
        variable = SERVER if environment.get(SERVER) else CLIENT
        raise ServiceError(f"{variable}: expected name:password in printable ASCII, both of them not empty")
    return found


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    return host == "localhost" or ipaddress.ip_address(host).is_loopback


def require_access(host: str) -> str | None:
    """The credentials that the services at an address need; None where they need none.

    Raises:
        ServiceError: It is no address, or one that others reach while there are no credentials.
    """
    try:
        inside = is_loopback(host)
    except ValueError:
        raise ServiceError(
            f"--host {host!r}: expected an address of this machine, such as 127.0.0.1 or 10.0.0.5"
        ) from None
    found = credentials()
    if not inside and found is None:
        raise ServiceError(
            f"--host {host} lets other machines in, so a name and a password are required: set {SERVER}=name:password "
            f"in the environment (clients set {CLIENT} to the same), or leave out --host to stay on loopback"
        )
    return found


def reached_at(host: str) -> str:
    """The address at which this machine reaches what is bound to ``host``, as a URL spells it."""
    address = ipaddress.ip_address(LOOPBACK if host == "localhost" else host)
    if address.is_unspecified:
        return LOOPBACK if address.version == 4 else "[::1]"
    return str(address) if address.version == 4 else f"[{address}]"


def headers() -> dict[str, str]:
    """What a request to the services carries."""
    found = credentials()
    return {} if found is None else {"Authorization": basic(found)}


def basic(pair: str) -> str:
    """The value of the header ``Authorization`` for ``name:password``."""
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def shared(pair: str | None) -> dict[str, str]:
    """Environment of servers, workers and runs: both sides of Prefect, and MLflow's client."""
    if pair is None:
        return {}
    name, _, password = pair.partition(":")
    return {
        SERVER: pair,
        CLIENT: pair,
        "MLFLOW_TRACKING_USERNAME": name,
        "MLFLOW_TRACKING_PASSWORD": password,
    }

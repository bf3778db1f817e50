"""MLflow's server behind a name and a password: what `engram up` starts in its place when an address is opened.

    python -m pipeline.services.mlflow_server HOST PORT BACKEND_STORE_URI ARTIFACTS_URI

The same application as ``mlflow server --workers 1``, in one process. ``/health`` alone answers everybody.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pipeline.services.access import basic, credentials, reached_at

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """ASGI middleware that asks for HTTP basic authentication (RFC 7617).

    Args:
        app: What is behind it.
        pair: ``name:password``.
    """

    def __init__(self, app: App, pair: str) -> None:
        self._app = app
        self._wanted = basic(pair).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what is allowed, and refuse everything else with status 401."""
        if scope["type"] == "lifespan" or self._allowed(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            told = [(b"www-authenticate", b'Basic realm="engram", charset="UTF-8"'), (b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 401, "headers": told})
            await send({"type": "http.response.body", "body": b"a name and a password are required\n"})

    def _allowed(self, scope: Scope) -> bool:
        if scope["type"] == "http" and scope["path"] == "/health" and scope["method"] == "GET":
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._wanted)


def allowed(host: str, port: int) -> dict[str, str]:
    """What MLflow's own checks let through: requests and pages of this address; of any address its defaults."""
    if ipaddress.ip_address(host).is_unspecified:
        return {}
    address = f"{reached_at(host)}:{port}"
    return {"MLFLOW_SERVER_ALLOWED_HOSTS": address, "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"http://{address}"}


def main(host: str, port: int, store: str, artifacts: str) -> None:
    """Serve until the process is ended."""
    pair = credentials()
    if pair is None:
        raise SystemExit("the dashboard needs a name and a password; see `engram up --help`")
    from mlflow.server import constants

    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = store
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = artifacts
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = "mlflow-artifacts:/"
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    for name, value in allowed(host, port).items():
        os.environ.setdefault(name, value)
    import uvicorn
    from mlflow.server.fastapi_app import app

    uvicorn.run(Guard(app, pair), host=host, port=port, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])

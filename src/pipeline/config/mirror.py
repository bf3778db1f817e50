"""Settings of the mirror: the URL at which a night's finished run and its session's stores are kept as well."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from pipeline.config.section import Section
from pipeline.errors import ConfigError

SCHEMES = ("file", "s3")


def check_url(url: str) -> str:
    """A URL that a mirror can be at, without name and password.

    Raises:
        ConfigError: It is of another kind, or holds credentials; the message does not repeat those.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ConfigError(
            f"expected a URL that begins with {' or '.join(f'{scheme}://' for scheme in SCHEMES)}, "
            f"found {parts.scheme + '://' if parts.scheme else repr(url)}"
        )
    if "@" in (parts.netloc if parts.scheme == "file" else parts.netloc + parts.path):  # a secret may hold a slash
        raise ConfigError(
            f"a {parts.scheme}:// URL must not hold credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return url


class MirrorConfig(Section):
    """Where else finished runs and store generations lie; no setting here changes a result."""

    url: str | None = Field(
        None,
        description="file:///FOLDER or s3://BUCKET/PREFIX; a night pulls its session from there before it begins, and "
        "pushes its run and stores when it is done; null keeps them below the artifact root alone",
    )

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str | None) -> str | None:
        try:
            return None if url is None else check_url(url)
        except ConfigError as error:
            raise ValueError(str(error)) from None

"""What an operator can set: `POLICY_SERVICE_*` in the environment. `docs/settings.md` is held to this list by a test.

Nothing that can change a decision lives in a setting.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from policy_service.ledger.layout import FOLDER
from policy_service.model.address import Network, parse_network
from policy_service.model.api_key import DEFAULT_PREFIX, PREFIX
from policy_service.model.errors import UsageError

ENV_PREFIX: Final = "POLICY_SERVICE_"
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_DATABASES: Final = ("sqlite:", "postgresql:", "postgresql+psycopg:", "postgres:")
_SECRETS: Final = frozenset({"checkpoint_sink", "database_url", "key"})


def _networks(value: object) -> object:
    """Comma-separated CIDRs as networks; a tuple of networks is taken as it is."""
    if not isinstance(value, str):
        return value
    parsed = [parse_network(part.strip()) for part in value.split(",") if part.strip()]
    wrong = next((network for network in parsed if isinstance(network, str)), None)
    if wrong is not None:
        raise ValueError(wrong)
    return tuple(parsed)


def _port(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        remedy = "; Kubernetes sets such a value for a service named policy-service: set `enableServiceLinks: false`"
        raise ValueError("must be a whole number from 0 to 65535" + (remedy if value.startswith("tcp://") else ""))
    return value


def _prefix(value: object) -> object:
    if isinstance(value, str) and not PREFIX.fullmatch(value):
        raise ValueError("must be 2 to 10 lowercase letters")
    return value


def _header(value: object) -> object:
    if value == "off":
        return None
    if isinstance(value, str) and not _HEADER.fullmatch(value):
        raise ValueError("must be the name of an HTTP header, or `off`")
    return value


def _database_url(value: object) -> object:
    """PostgreSQL is always spoken to by psycopg 3, however the URL is spelled."""
    if not isinstance(value, str):
        return value
    if not value.startswith(_DATABASES):
        raise ValueError("must start with `sqlite:///` or `postgresql://`")
    return re.sub(r"\A(?:postgres|postgresql):", "postgresql+psycopg:", value)


class Settings(BaseSettings):
    """One process's settings. Frozen; options on the command line win over the environment."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", arbitrary_types_allowed=True
    )

    data_dir: Path = Field(
        Path("data"), description="Folder of `policy.db`, `pepper`, `signing.key`, `ledger/`, `snapshot/`; mode 0700."
    )
    database_url: Annotated[SecretStr | None, BeforeValidator(_database_url)] = Field(
        None,
        description="Database of the facts: `sqlite:///…` or `postgresql://…`. Default: `policy.db` in the data "
        "directory. It may hold a password and is never printed.",
    )
    host: str = Field("127.0.0.1", description="Address that `serve` listens on.")
    port: Annotated[int, BeforeValidator(_port)] = Field(
        8000, ge=0, le=65535, description="Port that `serve` listens on; 0 takes a free one and prints it."
    )
    workers: int = Field(
        1, ge=1, le=64, description="Processes that `serve` answers with; as many as there are cores for it."
    )
    read_timeout_s: int = Field(
        10,
        ge=1,
        le=600,
        description="Seconds that a request may be in coming, from its first byte to its last, and a connection may be "
        "open before its first; also the interval at which clients that do not read their answers are cut off.",
    )
    fast_lane: Literal["on", "off"] = Field(
        "on",
        description="`on`: plain `POST /decide` and `/decide/batch` are answered where their bytes arrive, in a "
        "fraction of the time. `off`: by the documented routes, as all else. The answers are the same.",
    )
    shutdown_grace_s: int = Field(
        10, ge=0, le=600, description="Seconds that requests under way are given when the server is told to stop."
    )
    max_staleness_s: int = Field(
        30,
        ge=1,
        le=86400,
        description="Seconds that the server decides on after its last successful look at the store. Past that it "
        "answers 503 `stale` until the store is back.",
    )
    ledger_durability: Literal["fsync", "os", "off"] = Field(
        "os",
        description="What a decision's record has survived before the decision is answered: `os` the process being "
        "killed, `fsync` a loss of power too. `off`: decisions leave no record.",
    )
    ledger_segment_bytes: int = Field(
        64 * 1024 * 1024,
        ge=4096,
        le=1 << 34,
        description="Size at which a segment of the ledger ends and the next begins. Segments that ended are signed, "
        "compressed and, one day, removed as a whole.",
    )
    ledger_segment_age_s: int = Field(
        86400, ge=1, le=31_536_000, description="Seconds after a segment's first record at which the next one begins."
    )
    ledger_retention_days: int | None = Field(
        None,
        ge=1,
        le=36500,
        description="Days after which the records of sealed segments are removed; each removal is a change, and the "
        "hashes and checkpoints stay. Default: never.",
    )
    ledger_free_warning_mb: int = Field(
        256,
        ge=0,
        le=1 << 20,
        description="`/readyz` warns with `ledger_space_low` when fewer megabytes are left for the ledger. With none "
        "left, nothing is decided.",
    )
    checkpoint_interval_s: float = Field(
        10,
        ge=0.1,
        le=86400,
        description="Seconds between two signed checkpoints, where there is something new; another is signed at the "
        "end of each segment.",
    )
    checkpoint_sink: SecretStr | None = Field(
        None,
        description="Where each checkpoint goes besides, off this machine for choice: `file:PATH` (appended), "
        "`command:PROGRAM ARGUMENTS` (standard input) or a URL of http or https (POST). It may hold a password and is "
        "never printed. Without one a rewritten ledger can be noticed by those alone who kept a checkpoint.",
    )
    snapshot_every: int = Field(
        50_000,
        ge=0,
        le=1_000_000_000,
        description="Facts changed after which the server has its snapshot file made anew, from which processes start "
        "in place of all changes; in a large store a twentieth of its facts, if that is more. 0: none is made or read.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity of the server's log: `debug`, `info`, `warning` or `error`."
    )
    key_prefix: Annotated[str, BeforeValidator(_prefix)] = Field(
        DEFAULT_PREFIX,
        description="What new keys start with: 2 to 10 lowercase letters. Keys issued under another prefix stay good.",
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)] = Field(
        (),
        description="CIDRs, comma-separated, of proxies whose `X-Forwarded-For` says where a *caller of this service* "
        "is. It has no part in `source_ip` of a decision.",
    )
    legacy_header: Annotated[str | None, BeforeValidator(_header)] = Field(
        "X-Planasonix-Api-Key",
        description="Older header that callers may still show their key in; answered with `Deprecation`. `off`: none.",
    )
    legacy_header_sunset: date = Field(
        date(2027, 12, 31), description="Day announced in `Sunset` to users of the older header."
    )
    key: SecretStr | None = Field(
        None, description="API key that commands with `--url` show to the server. It is never taken as an argument."
    )
    traceback: bool = Field(False, description="`1`: commands print a Python traceback for errors nobody foresaw.")

    def pepper_path(self) -> Path:
        """Where the peppers are."""
        return self.data_dir / "pepper"

    def signing_key_path(self) -> Path:
        """Where the keys are that sign checkpoints; the verifier keys are beside."""
        return self.data_dir / "signing.key"

    def ledger_path(self) -> Path:
        """Where decisions are recorded."""
        return self.data_dir / FOLDER

    def snapshot_path(self) -> Path:
        """Where this node's snapshot files are."""
        return self.data_dir / "snapshot"

    def store_url(self) -> str:
        """Where the facts are, password included: for the database driver only."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'policy.db'}"


def load_settings(**options: Any) -> Settings:
    """The environment's settings, overridden by those `options` that are not None.

    Raises:
        UsageError: `invalid_setting`; the message names every wrong variable and shows no secret.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise UsageError("invalid_setting", "; ".join(_complaint(item, given) for item in error.errors())) from None


def _complaint(item: Any, given: dict[str, Any]) -> str:
    name = str(item["loc"][0])
    shown = f"--{name.replace('_', '-')}" if name in given else f"{ENV_PREFIX}{name.upper()}"
    message = str(item["msg"]).removeprefix("Value error, ")
    value = "" if name in _SECRETS else f" is `{item['input']}`:"
    return f"`{shown}`{value} {message[:1].lower()}{message[1:]}"


def documentation() -> str:
    """The settings as a Markdown table, in the order of the class."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{ENV_PREFIX}{name.upper()}` | {_default_text(field.default)} | {field.description} |")
    return "\n".join(rows) + "\n"


def _default_text(value: object) -> str:
    if value is None or value == ():
        return "–"
    return f"`{int(value) if isinstance(value, bool) else value}`"

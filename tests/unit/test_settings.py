"""Settings come from the environment, are checked, and are all documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_service.model.address import parse_network
from policy_service.model.errors import UsageError
from policy_service.settings import ENV_PREFIX, Settings, documentation, load_settings

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests leaks into them."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"{ENV_PREFIX}{name.upper()}", raising=False)


def refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    """The one line that a wrong value gives."""
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert caught.value.code == "invalid_setting"
    assert "\n" not in caught.value.message
    return caught.value.message


def test_every_setting_is_documented() -> None:
    """The page holds exactly the table that the code gives: an undocumented setting fails here."""
    assert documentation() in DOCS.read_text(encoding="utf-8"), (
        "docs/settings.md is behind; its table must be policy_service.settings.documentation()"
    )


def test_every_setting_says_what_it_means() -> None:
    """A setting without a description would be a row that helps nobody."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_defaults_are_a_local_sqlite_installation() -> None:
    """Nothing set: 127.0.0.1:8000 on ./data."""
    settings = load_settings()
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 8000, Path("data"))
    assert settings.store_url() == "sqlite:///data/policy.db"
    assert settings.trusted_proxies == ()


def test_an_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was typed is what was meant; an option that was not given leaves the variable alone."""
    monkeypatch.setenv("POLICY_SERVICE_PORT", "9000")
    assert load_settings(port=7000).port == 7000
    assert load_settings(port=None).port == 9000


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files pass on variables that nobody set."""
    monkeypatch.setenv("POLICY_SERVICE_PORT", "")
    assert load_settings().port == 8000


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_is_spoken_by_psycopg(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """The driver that is installed is the one that is used."""
    monkeypatch.setenv("POLICY_SERVICE_DATABASE_URL", f"{scheme}://u:p@h/db")
    assert load_settings().store_url() == "postgresql+psycopg://u:p@h/db"


def test_a_database_url_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold a password: neither the settings' text nor a complaint about it repeats it."""
    monkeypatch.setenv("POLICY_SERVICE_DATABASE_URL", "postgresql://u:hunter2@h/db")
    assert "hunter2" not in repr(load_settings())
    message = refused(monkeypatch, "POLICY_SERVICE_DATABASE_URL", "mysql://u:hunter2@h/db")
    assert "hunter2" not in message
    assert "must start with `sqlite:///` or `postgresql://`" in message


def test_the_callers_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key for `--url` is a secret like any other."""
    monkeypatch.setenv("POLICY_SERVICE_KEY", "psx_secret")
    assert "psx_secret" not in repr(load_settings())


def test_a_port_set_by_kubernetes_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets POLICY_SERVICE_PORT=tcp://… for a service of that name; the remedy is named."""
    assert "enableServiceLinks" in refused(monkeypatch, "POLICY_SERVICE_PORT", "tcp://10.0.0.1:8000")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PORT", "eighty", "must be a whole number from 0 to 65535"),
        ("PORT", "70000", "less than or equal to 65535"),
        ("WORKERS", "0", "greater than or equal to 1"),
        ("KEY_PREFIX", "PSX", "must be 2 to 10 lowercase letters"),
        ("LEGACY_HEADER", "X Key", "must be the name of an HTTP header"),
        ("LEGACY_HEADER_SUNSET", "soon", "`soon`"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "host bits"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_value_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    """It names the variable, shows the value and says what would be right."""
    message = refused(monkeypatch, f"POLICY_SERVICE_{name}", value)
    assert f"`POLICY_SERVICE_{name}` is `{value}`" in message
    assert told in message


def test_a_wrong_option_is_named_as_it_was_typed() -> None:
    """Nobody looks for a variable when an option was mistyped."""
    with pytest.raises(UsageError, match="`--workers` is `0`"):
        load_settings(workers=0)


def test_proxies_are_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comma-separated list, read by the same strict parser as rule files."""
    monkeypatch.setenv("POLICY_SERVICE_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::/32")
    assert load_settings().trusted_proxies == (parse_network("10.0.0.0/8"), parse_network("2001:db8::/32"))


def test_the_legacy_header_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable counts as not set, so there is a word for none."""
    monkeypatch.setenv("POLICY_SERVICE_LEGACY_HEADER", "off")
    assert load_settings().legacy_header is None

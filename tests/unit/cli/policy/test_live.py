"""`policy activate|history|rollback|show`: on a data directory, by way of `/v1`."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_service.language.load import load_policy
from tests.unit.cli.terminal import Terminal
from tests.unit.service.house import OPERATOR, OTHER_FILES, RULE_FILES

FIRST, OTHER = load_policy(RULE_FILES).digest, load_policy(OTHER_FILES).digest


def write(folder: Path, files: dict[str, str]) -> Path:
    """A folder of rule files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Other rule files than the active ones."""
    return write(tmp_path / "other", OTHER_FILES)


def test_activating_a_folder_is_a_change_with_actor_and_note(terminal: Terminal, folder: Path) -> None:
    """Published, then activated; again is told and changes nothing."""
    printed = terminal.run("policy", "activate", folder, "--note", "CHG-7")
    head = terminal.house.store.head()
    assert (printed.code, printed.err) == (0, "")
    assert printed.out == f"{OTHER[:19]}… decides (revision {head})\n"
    change = terminal.house.store.changes[-1]
    assert (change.action, change.actor, change.note) == ("bundle.activate", OPERATOR.actor, "CHG-7")
    again = terminal.run("policy", "activate", folder)
    assert again.out == f"{OTHER[:19]}… is active already (revision {head})\n"
    assert terminal.house.store.head() == head


def test_a_dry_run_shows_what_differs_and_changes_nothing(terminal: Terminal, folder: Path) -> None:
    """Files, and what they say by part and name; as JSON in parts."""
    write(folder, {"context.yaml": "context:\n  ticket: string\n"})
    before = terminal.house.store.head()
    printed = terminal.run("policy", "activate", folder, "--dry-run")
    assert printed.code == 0
    assert printed.out.splitlines()[:4] == [
        "+ context.yaml",
        "~ resources/pipeline.yaml",
        "+ context ticket",
        "- rule pipeline/no-locked-ones",
    ]
    assert printed.out.splitlines()[-1].startswith(f"{FIRST} → sha256:")
    told = terminal.run("policy", "activate", folder, "--dry-run", "--json").json
    assert told["files"] == {"added": ["context.yaml"], "removed": [], "changed": ["resources/pipeline.yaml"]}
    assert told["differences"][1] == {
        "kind": "removed", "part": "rule", "name": "pipeline/no-locked-ones", "fields": {},
    }  # fmt: skip
    assert terminal.house.store.head() == before


def test_a_dry_run_of_the_same_meaning_says_so(terminal: Terminal, tmp_path: Path) -> None:
    """A comment changes a file and nothing else."""
    same = write(tmp_path / "same", {**RULE_FILES, "roles.yaml": "# roles\n" + RULE_FILES["roles.yaml"]})
    printed = terminal.run("policy", "activate", same, "--dry-run")
    assert printed.out == f"~ roles.yaml\nmeans the same as what decides now, {FIRST}\n"


def test_a_dry_run_before_the_first_activation(bare_terminal: Terminal, folder: Path) -> None:
    """Everything is new."""
    printed = bare_terminal.run("policy", "activate", folder, "--dry-run")
    assert printed.code == 0
    assert "everything is new" in printed.out


def test_mistakes_are_exit_code_1_and_change_nothing(terminal: Terminal, folder: Path) -> None:
    """With each place."""
    (folder / "chain.yaml").write_text("chain: nonsense\n")
    before = terminal.house.store.head()
    printed = terminal.run("policy", "activate", folder)
    assert printed.code == 1
    assert "chain.yaml:1:" in printed.err
    assert terminal.house.store.head() == before


def test_history_and_rollback(terminal: Terminal, folder: Path) -> None:
    """To the one before, to any by the beginning of its digest; each is a change of its own."""
    terminal.run("policy", "activate", folder, "--note", "new")
    back = terminal.run("policy", "rollback")
    assert back.out.startswith(f"{FIRST[:19]}… decides again (revision ")
    assert terminal.house.bundles.active() == FIRST
    terminal.run("policy", "rollback", OTHER[:16], "--note", "after all")
    assert terminal.house.bundles.active() == OTHER
    told = terminal.run("policy", "history", "--json").json["data"]
    assert [(one["digest"], one["previous"], one["note"]) for one in told] == [
        (OTHER, FIRST, "after all"),
        (FIRST, OTHER, "rollback"),
        (OTHER, FIRST, "new"),
        (FIRST, None, ""),
    ]
    table = terminal.run("policy", "history", "--limit", "2").out.splitlines()
    assert table[0].split() == ["revision", "at", "actor", "bundle", "note"]
    assert table[1].endswith(f"{OTHER[:19]}…  after all")
    assert len(table) == 3
    assert terminal.run("policy", "rollback", FIRST, "--json").json["data"] == {"digest": FIRST}


def test_what_cannot_be_rolled_back_to(terminal: Terminal) -> None:
    """Nothing before the first; no such digest, or none at all."""
    for arguments, code in (
        ((), "no_previous"),
        (("sha256:123456",), "no_such_digest"),
        (("main",), "no_such_digest"),
        ((OTHER,), "not_found"),
    ):
        printed = terminal.run("policy", "rollback", *arguments)
        assert printed.code == 2
        assert f"[{code}]" in printed.err
    assert terminal.house.bundles.active() == FIRST


def test_showing_what_is_published(terminal: Terminal) -> None:
    """By its digest or its beginning, or the active one."""
    for arguments in (("--active",), (FIRST,), (FIRST[:16],)):
        printed = terminal.run("policy", "show", *arguments, "--json")
        assert printed.json["digest"] == FIRST


def test_a_candidate_in_shadow(terminal: Terminal, folder: Path) -> None:
    """Started with a folder, shown without one, ended with `--off`."""
    assert terminal.run("policy", "shadow").out == "no bundle runs in shadow\n"
    started = terminal.run("policy", "shadow", folder, "--note", "try")
    assert started.out.startswith(f"{OTHER[:19]}… runs in shadow (revision ")
    key = terminal.house.key()
    terminal.house.decide(key.text, resource="pipeline:locked-1")
    shown = terminal.run("policy", "shadow").out.splitlines()
    assert shown[0] == f"{OTHER[:19]}…: running, 1 compared, 0 failed"
    assert shown[2].split() == ["deny_to_allow", "locked", "no-locked-ones", "1"]
    assert terminal.run("policy", "shadow", "--json").json["data"]["digest"] == OTHER
    assert terminal.run("policy", "shadow", "--off").out.startswith("no bundle runs in shadow (revision ")
    assert terminal.run("policy", "shadow", folder, "--off").code == 2
    assert terminal.house.bundles.active() == FIRST


def test_a_candidate_with_mistakes_is_exit_code_1(terminal: Terminal, folder: Path) -> None:
    """As for activating."""
    (folder / "chain.yaml").write_text("chain: nonsense\n")
    assert terminal.run("policy", "shadow", folder).code == 1

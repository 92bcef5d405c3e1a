"""Files of signing keys: made once, never overwritten, rotated with an overlap, and never shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from policy_service.ledger import keys
from policy_service.ledger.checkpoint import open_checkpoint, sign_checkpoint
from policy_service.ledger.keys import (
    MAX_SIGNERS,
    create,
    default_name,
    load_signers,
    load_verifiers,
    retire,
    rotate,
    verifiers_path,
)
from policy_service.ledger.notes import FormatError, is_key_name
from policy_service.model.errors import UsageError
from tests.unit.ledger.signing import NAME, NEWER, SIGNER, WITNESS, a_checkpoint


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of one key."""
    path = tmp_path / "data" / "signing.key"
    create(path, NAME)
    return path


def refused(path: Path) -> UsageError:
    """Why the private keys cannot be read."""
    with pytest.raises(UsageError) as raised:
        load_signers(path)
    assert "\n" not in raised.value.message
    return raised.value


def mode(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_once(path: Path) -> None:
    """Private, in a private folder, with nothing left beside it; and never overwritten."""
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert sorted(file.name for file in path.parent.iterdir()) == ["signing.key", "signing.pub"]
    (signer,) = load_signers(path)
    assert load_verifiers(verifiers_path(path)) == (signer.verifier,)
    before = path.read_bytes()
    with pytest.raises(UsageError) as raised:
        create(path, NAME)
    assert raised.value.code == "signing_key_exists"
    assert path.read_bytes() == before
    assert not path.with_name("signing.key.new").exists()


def test_names_differ_between_installations(tmp_path: Path) -> None:
    """By default; and a name that no note can carry is refused."""
    assert is_key_name(default_name())
    assert default_name() != default_name()
    with pytest.raises(UsageError) as raised:
        create(tmp_path / "data" / "signing.key", "a b")
    assert raised.value.code == "invalid_key_name"


def test_an_auditor_with_the_old_key_goes_on_until_it_is_retired(path: Path) -> None:
    """After a rotation all keys sign; after the old one is retired, what it signed still verifies."""
    (old,) = load_signers(path)
    before = sign_checkpoint(a_checkpoint(), load_signers(path))
    both = rotate(path)
    assert [s.verifier for s in load_signers(path)] == [s.verifier for s in both]
    new = both[-1]
    assert new.verifier.name == old.verifier.name
    between = sign_checkpoint(a_checkpoint(), both)
    for signer in both:
        assert open_checkpoint(between, [signer.verifier]) == a_checkpoint()
    assert [s.verifier for s in retire(path, old.verifier.key_id)] == [new.verifier]
    after = sign_checkpoint(a_checkpoint(), load_signers(path))
    with pytest.raises(FormatError):
        open_checkpoint(after, [old.verifier])
    for note in (before, between, after):
        assert open_checkpoint(note, load_verifiers(verifiers_path(path))) == a_checkpoint()
    assert mode(path) == 0o600


def test_what_cannot_be_retired_or_rotated(path: Path) -> None:
    """The current key, one that is not there, and more keys than a note should carry."""
    for key_id, code in (
        (load_signers(path)[-1].verifier.key_id, "signing_key_in_use"),
        ("00000000", "unknown_signing_key"),
    ):
        with pytest.raises(UsageError) as raised:
            retire(path, key_id)
        assert raised.value.code == code
    for _ in range(MAX_SIGNERS - 1):
        rotate(path)
    with pytest.raises(UsageError) as raised:
        rotate(path)
    assert raised.value.code == "too_many_signing_keys"
    assert len(load_signers(path)) == MAX_SIGNERS
    assert len(load_verifiers(verifiers_path(path))) == MAX_SIGNERS


def test_of_two_who_change_keys_at_once_one_is_refused(path: Path) -> None:
    """And the other's draft stays."""
    draft = path.with_name("signing.key.new")
    draft.touch()
    for change in (lambda: rotate(path), lambda: retire(path, "00000000"), lambda: create(path, NAME)):
        with pytest.raises(UsageError) as raised:
            change()
        assert raised.value.code == "signing_key_busy"
        assert draft.exists()


def test_a_crash_before_the_new_key_is_in_place_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old keys are whole; a verifier key whose private half was never kept does no harm."""

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash)
        with pytest.raises(UsageError) as raised:
            rotate(path)
    assert raised.value.code == "unwritable_signing_key"
    assert path.read_bytes() == before
    assert not path.with_name("signing.key.new").exists()
    assert len(rotate(path)) == 2


def test_verifier_keys_that_were_lost_come_back(path: Path) -> None:
    """Those whose private halves are there; the lost ones' are the auditors'."""
    (old,) = load_signers(path)
    verifiers_path(path).unlink()
    both = rotate(path)
    assert load_verifiers(verifiers_path(path)) == tuple(s.verifier for s in both)
    assert both[0].verifier == old.verifier


def test_a_key_that_is_missing_or_open_to_others(path: Path) -> None:
    """Each by its code, and what to do."""
    path.chmod(0o640)
    assert refused(path).code == "loose_signing_key"
    path.chmod(0o600)
    path.parent.chmod(0o750)
    assert refused(path).code == "loose_signing_key"
    path.parent.chmod(0o700)
    path.unlink()
    assert refused(path).code == "missing_signing_key"
    nowhere = path.parent / "nowhere" / "signing.key"
    assert refused(nowhere).code == "missing_signing_key"
    with pytest.raises(UsageError) as raised:
        rotate(nowhere)
    assert raised.value.code == "missing_signing_key"
    path.mkdir(mode=0o700)
    assert refused(path).code == "unreadable_signing_key"
    with pytest.raises(UsageError) as raised:
        load_verifiers(path)
    assert raised.value.code == "unreadable_verifier_keys"


def test_a_key_that_cannot_be_written(path: Path) -> None:
    """Below what is no folder, or under a name too long for a draft beside it."""
    for unfit in (path / "data" / "signing.key", path.with_name("k" * 253)):
        with pytest.raises(UsageError) as raised:
            create(unfit, NAME)
        assert raised.value.code == "unwritable_signing_key"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "nonsense\n",
        f"{SIGNER.secret_text()}\n\n",
        f"{SIGNER.secret_text()}\r\n",
        f"{SIGNER.secret_text()[:-1]}\n",
        f"{SIGNER.verifier}\n",
        f"{SIGNER.secret_text()}\n{SIGNER.secret_text()}\n",
        f"{SIGNER.secret_text()}\n{WITNESS.secret_text()}\n",
        f"{SIGNER.secret_text()}\n" * (MAX_SIGNERS + 1),
        "x" * (1 << 21),
    ],
)
def test_a_damaged_file_of_private_keys(path: Path, content: str) -> None:
    """Refused whole, without a word of what is in it; and a rotation does not write over it."""
    path.write_bytes(content.encode())
    with pytest.raises(UsageError) as raised:
        rotate(path)
    for error in (refused(path), raised.value):
        assert error.code == "damaged_signing_key"
        assert SIGNER.secret_text()[-30:-1] not in error.message
    assert path.read_bytes() == content.encode()


def test_what_an_auditor_kept(tmp_path: Path) -> None:
    """Verifier keys one a line, a last line feed or none; anything else names its line."""
    kept = tmp_path / "kept"
    for end in ("", "\n"):
        kept.write_text(f"{SIGNER.verifier}\n{WITNESS.verifier}{end}")
        assert load_verifiers(kept) == (SIGNER.verifier, WITNESS.verifier)
    for content, shown in (
        (f"{SIGNER.verifier}\nwhat\n", "line 2"),
        ("", "line 1"),
        (f"{SIGNER.secret_text()}\n", "line 1"),
        ("x" * (1 << 21), "too large"),
    ):
        kept.write_text(content)
        with pytest.raises(UsageError, match=shown) as raised:
            load_verifiers(kept)
        assert raised.value.code == "damaged_verifier_keys"
        assert SIGNER.secret_text()[-20:] not in raised.value.message
    kept.write_bytes(b"\xff\xfe\n")
    with pytest.raises(UsageError, match="line 1"):
        load_verifiers(kept)
    kept.unlink()
    with pytest.raises(UsageError) as raised:
        load_verifiers(kept)
    assert raised.value.code == "missing_verifier_keys"


def test_a_damaged_file_of_verifier_keys_is_not_written_over(path: Path) -> None:
    """It may be the only one that has the keys of old checkpoints."""
    verifiers_path(path).write_text("damaged\n")
    with pytest.raises(UsageError) as raised:
        rotate(path)
    assert raised.value.code == "damaged_verifier_keys"
    assert verifiers_path(path).read_text() == "damaged\n"
    assert len(load_signers(path)) == 1
    assert not path.with_name("signing.key.new").exists()


def test_no_function_here_returns_a_secret_by_accident(path: Path) -> None:
    """Signers are shown by name and key ID."""
    secret = path.read_text().strip().split("+", 4)[4]
    assert secret not in repr(load_signers(path))
    assert NEWER.secret_text() not in repr(keys.__dict__)

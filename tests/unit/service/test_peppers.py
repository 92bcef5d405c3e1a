"""Peppers: made once, read strictly, told to nobody."""

from __future__ import annotations

import hashlib
import hmac
import json
import stat
from pathlib import Path

import pytest

from policy_service.model.errors import StoreError, UsageError
from policy_service.service.peppers import PEPPER_BYTES, Peppers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "pepper"


def test_a_new_pepper_file_is_only_its_owners(path: Path) -> None:
    """The file is 0600, its folder 0700, whatever the umask says."""
    Peppers.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_was_made_can_be_loaded(path: Path) -> None:
    """A loaded pepper makes the same verifiers as the made one."""
    made = Peppers.create(path)
    loaded = Peppers.load(path)
    assert loaded.current == made.current == "p1"
    assert loaded.verifier("p1", "text") == made.verifier("p1", "text")
    assert loaded.fingerprint("text") == made.fingerprint("text")


def test_two_peppers_differ(tmp_path: Path) -> None:
    """Each pepper is fresh randomness."""
    one, two = Peppers.create(tmp_path / "a" / "pepper"), Peppers.create(tmp_path / "b" / "pepper")
    assert one.verifier("p1", "text") != two.verifier("p1", "text")


def test_a_pepper_is_never_overwritten(path: Path) -> None:
    """Making a second one in the same place is refused and leaves the first."""
    Peppers.create(path)
    before = path.read_bytes()
    with pytest.raises(UsageError) as raised:
        Peppers.create(path)
    assert raised.value.code == "pepper_exists"
    assert path.read_bytes() == before


def test_a_missing_pepper_names_the_remedy(path: Path) -> None:
    """No file: a usage error that says what to do."""
    with pytest.raises(UsageError, match="run `init`") as raised:
        Peppers.load(path)
    assert raised.value.code == "missing_pepper"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_pepper_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    """A loose file mode is refused with the command that mends it."""
    Peppers.create(path)
    path.chmod(mode)
    with pytest.raises(UsageError, match="chmod 600") as raised:
        Peppers.load(path)
    assert raised.value.code == "loose_pepper"


def test_a_folder_that_others_may_enter_is_refused(path: Path) -> None:
    """A loose folder mode is refused with the command that mends it."""
    Peppers.create(path)
    path.parent.chmod(0o755)
    with pytest.raises(UsageError, match="chmod 700") as raised:
        Peppers.load(path)
    assert raised.value.code == "loose_pepper"


def test_none_is_made_where_others_may_enter(path: Path) -> None:
    """A folder that is there already and loose is refused before a secret is put into it."""
    path.parent.mkdir(mode=0o755)
    path.parent.chmod(0o755)
    with pytest.raises(UsageError, match="chmod 700") as raised:
        Peppers.create(path)
    assert raised.value.code == "loose_pepper"
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file where the folder should be is one clear error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as raised:
        Peppers.create(tmp_path / "file" / "pepper")
    assert raised.value.code == "unwritable_pepper"


GOOD = "ab" * PEPPER_BYTES


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        '{"current": "p1"}',
        json.dumps({"current": "p2", "peppers": {"p1": GOOD}}),
        json.dumps({"current": "p1", "peppers": {"p1": GOOD[:-2]}}),
        json.dumps({"current": "p1", "peppers": {"p1": GOOD[:-1] + "x"}}),
        json.dumps({"current": "p1", "peppers": {"p1": 7}}),
        json.dumps({"current": "p1", "peppers": [GOOD]}),
    ],
)
def test_a_damaged_pepper_is_refused_without_showing_it(path: Path, content: str) -> None:
    """Whatever is wrong with the content, no part of it reaches the message or the traceback."""
    Peppers.create(path)
    path.write_text(content)
    with pytest.raises(UsageError) as raised:
        Peppers.load(path)
    assert raised.value.code == "damaged_pepper"
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert "abab" not in raised.value.message


def test_a_pepper_that_is_a_folder_is_unreadable(path: Path) -> None:
    """Something else in its place is told as such."""
    path.mkdir(mode=0o700, parents=True)
    path.parent.chmod(0o700)
    with pytest.raises(UsageError) as raised:
        Peppers.load(path)
    assert raised.value.code == "unreadable_pepper"


def test_a_verifier_is_hmac_sha_256_of_the_whole_text() -> None:
    """RFC 2104 with SHA-256 over every character of the key's text."""
    peppers = Peppers("b", {"a": b"a" * 32, "b": b"b" * 32})
    assert peppers.verifier("a", "psx_text") == hmac.new(b"a" * 32, b"psx_text", hashlib.sha256).digest()


def test_a_pepper_that_is_not_loaded_is_our_fault() -> None:
    """An unknown pepper id is a store error, so 503."""
    with pytest.raises(StoreError, match="`p9`") as raised:
        Peppers("p1", {"p1": b"1" * 32}).verifier("p9", "text")
    assert raised.value.code == "pepper_not_loaded"


def test_a_fingerprint_is_no_verifier_and_takes_any_text() -> None:
    """Fingerprints are short, keyed apart, equal for equal texts, and take lone surrogates."""
    peppers = Peppers("p1", {"p1": b"1" * 32})
    text = "x\ud800\0"
    assert peppers.fingerprint(text) == peppers.fingerprint(text) != peppers.fingerprint("y")
    assert len(peppers.fingerprint(text)) == 16
    assert not peppers.verifier("p1", "y").hex().startswith(peppers.fingerprint("y"))


def test_the_current_pepper_must_be_there() -> None:
    """A current id without a pepper is refused at once, not at the first key."""
    with pytest.raises(UsageError) as raised:
        Peppers("p2", {"p1": b"1" * 32})
    assert raised.value.code == "damaged_pepper"


def test_no_pepper_shows_in_its_representation() -> None:
    """repr and str name the ids alone."""
    peppers = Peppers("p1", {"p1": b"SECRETSECRETSECRETSECRETSECRETSE"})
    assert "SECRET" not in f"{peppers!r} {peppers!s}"

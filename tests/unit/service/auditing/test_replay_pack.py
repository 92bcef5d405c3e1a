"""The replay pack: enough to replay elsewhere, no secret in it, and whole or refused."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import zstandard

from policy_service.engine.snapshot import Snapshot
from policy_service.model.errors import StoreError, UsageError
from policy_service.service.auditing.archive import Archive, ArchivedPrograms
from policy_service.service.auditing.history import History
from policy_service.service.auditing.replay import replay
from policy_service.service.auditing.replay_pack import PackArchive, write_pack
from tests.unit.service.house import OPERATOR, OTHER_FILES, PEPPERS
from tests.unit.service.recorded import Recorded


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """Two policies, and a key that was rotated."""
    past = Recorded(tmp_path)
    house = past.house
    key = house.key()
    past.ask(key.text)
    house.admin.rotate_key(OPERATOR, "acme", key.api_key.id, grace_s=60)
    published = house.bundles.publish(OPERATOR, OTHER_FILES)
    assert published.fact is not None
    house.bundles.activate(OPERATOR, published.fact.digest)
    past.ask(key.text, resource="pipeline:locked-1")
    return past


def folded(archive: Archive) -> Snapshot:
    """The facts at the end of an archive."""
    history = History(archive, ArchivedPrograms(archive))
    history.finish()
    assert history.broken is None
    return history.snapshot


@pytest.mark.parametrize("name", ["out.pack", "out.pack.zst"])
def test_records_replay_on_a_pack_as_on_the_store(recorded: Recorded, tmp_path: Path, name: str) -> None:
    packed = write_pack(recorded.archive(), tmp_path / name)

    report = replay(PackArchive(tmp_path / name), recorded.written())

    assert packed.missing == ()
    assert packed.header.bundles == 2
    assert report.is_clean
    assert report == recorded.replayed()


def test_the_facts_of_a_pack_are_those_of_the_store(recorded: Recorded, tmp_path: Path) -> None:
    """Verifiers apart, and the chain of changes is the very same."""
    write_pack(recorded.archive(), tmp_path / "out")

    ours, theirs = folded(recorded.archive()), folded(PackArchive(tmp_path / "out"))

    assert (ours.revision, ours.chain_hash) == (theirs.revision, theirs.chain_hash)
    assert sorted(map(repr, ours.facts())) == sorted(map(repr, theirs.facts()))


def spellings(secret: bytes) -> list[bytes]:
    """Every way in which a secret might stand in a text."""
    found = [secret, secret.hex().encode(), secret.hex().upper().encode(), repr(secret)[2:-1].encode()]
    found += [base64.b64encode(secret[skip:])[2:-4] for skip in range(3)]
    found += [base64.urlsafe_b64encode(secret[skip:])[2:-4] for skip in range(3)]
    return [*found, base64.b32encode(secret)[:-8], base64.b85encode(secret), str(list(secret)).encode()]


def test_no_secret_is_in_a_pack(recorded: Recorded, tmp_path: Path) -> None:
    """No verifier of any secret that ever was, no pepper, no key; in no encoding."""
    write_pack(recorded.archive(), tmp_path / "out")
    content = (tmp_path / "out").read_bytes()
    store, house = recorded.house.store, recorded.house
    verifiers = [
        verifier for key_id in house.replica.view().keys for verifier in house.replica.view().verifiers(key_id).values()
    ]

    assert len(verifiers) == 2
    assert sum(change.sealed is not None for change in store.changes) == 2
    for secret in [*verifiers, *PEPPERS.values(), b"Secret"]:
        assert not [text for text in spellings(secret) if text and text in content]
    assert all(change.sealed is None for change in PackArchive(tmp_path / "out").changes())


def test_a_pack_is_its_owners_alone(recorded: Recorded, tmp_path: Path) -> None:
    write_pack(recorded.archive(), tmp_path / "out")

    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_bundle_that_is_gone_is_told(recorded: Recorded, tmp_path: Path) -> None:
    digest, *_ = recorded.house.store.texts
    del recorded.house.store.texts[digest]

    assert write_pack(recorded.archive(), tmp_path / "out").missing == (digest,)


def test_a_pack_that_cannot_be_written_leaves_nothing(recorded: Recorded, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or directory; name a file"):
        write_pack(recorded.archive(), tmp_path / "nowhere" / "out")
    archive = recorded.archive()
    recorded.house.store.broken = StoreError("store_unreachable", "gone")
    with pytest.raises(StoreError, match="gone"):
        write_pack(archive, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "no_pack"),
        (b"{}\n", "no_pack"),
        (b'{"format":"tar","v":1,"semantics":1,"head":0,"chain":"","bundles":0}\n', "no_pack"),
        (
            b'{"format":"policy-service replay pack","v":2,"semantics":1,"head":0,"chain":"","bundles":0}\n',
            "unknown_pack",
        ),
    ],
)
def test_another_file_is_no_pack(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "out").write_bytes(content)

    with pytest.raises(UsageError) as caught:
        PackArchive(tmp_path / "out")

    assert caught.value.code == code


@pytest.mark.parametrize("line", [1, 3, -1])
@pytest.mark.parametrize("how", ["cut", "ruin", "drop"])
def test_a_damaged_pack_is_found(recorded: Recorded, tmp_path: Path, line: int, how: str) -> None:
    """Whether a bundle, a change, or the last change: it says so, or records do not re-derive."""
    write_pack(recorded.archive(), tmp_path / "out")
    lines = (tmp_path / "out").read_bytes().splitlines(keepends=True)
    if how == "drop":
        del lines[line]
    else:
        lines[line] = lines[line][:20] + (b"\n" if how == "ruin" else b"")
    (tmp_path / "out").write_bytes(b"".join(lines))

    try:
        history = History(archive := PackArchive(tmp_path / "out"), ArchivedPrograms(archive))
        history.finish()
        found = history.broken
    except StoreError as error:
        found = error

    assert found is not None
    assert found.code in {"damaged_pack", "store_diverged"}


def test_damaged_compression_is_found(recorded: Recorded, tmp_path: Path) -> None:
    write_pack(recorded.archive(), tmp_path / "whole")
    (tmp_path / "out.zst").write_bytes(zstandard.compress((tmp_path / "whole").read_bytes()) + b"no frame")

    history = History(archive := PackArchive(tmp_path / "out.zst"), ArchivedPrograms(archive))
    history.finish()

    assert history.broken is not None
    assert history.broken.code == "damaged_pack"

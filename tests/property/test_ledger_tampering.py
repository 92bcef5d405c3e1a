"""Whatever is done to a ledger that a checkpoint covers, `verify` fails and names the first bad record.

The directory is made once; each example works on a copy of its ledger folder.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_service.ledger.evidence import Vouched
from policy_service.ledger.keys import load_verifiers
from policy_service.ledger.layout import Segment, contents
from policy_service.ledger.notes import Signer, parse_note, sign_note
from policy_service.ledger.verify import Verified, scanners
from policy_service.service.auditing.archive import StoreArchive
from policy_service.service.auditing.audit import audit
from tests.ledger_houses import LedgerHouse, filled

EXAMPLES = settings(max_examples=40, deadline=None)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerHouse]:
    """Two shards of three segments each: one closed, with a sealed segment, and one open, with a tail."""
    with scanners(2) as helpers:
        made = filled(tmp_path_factory.mktemp("house") / "data")
        made.helpers = helpers
        yield made
        made.close()


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerHouse]:
    """Another node's."""
    made = filled(tmp_path_factory.mktemp("other") / "data")
    yield made
    made.close()


class Copy:
    """A copy of a house's ledger folder, to be tampered with."""

    def __init__(self, house: LedgerHouse, folder: Path) -> None:
        self.house = house
        self.folder = folder
        shutil.copytree(house.folder, folder, dirs_exist_ok=True)
        self.first, self.second = list(house.written)

    def covered(self) -> list[Segment]:
        """All segments; the last one of the second shard has a tail that nobody vouches for."""
        return [segment for segments in contents(self.folder).values() for segment in segments]

    def verify(self, kept: Sequence[Vouched] = ()) -> Verified:
        """What `verify` says: the same, whether one process reads or several."""
        keys = load_verifiers(self.house.data_dir / "signing.pub")
        alone, shared = (
            audit(self.folder, keys, StoreArchive(self.house.store), kept=kept, helpers=helpers)
            for helpers in (None, self.house.helpers)
        )
        assert alone == shared
        return alone


@pytest.fixture
def copy(house: LedgerHouse) -> Iterator[Copy]:
    with tempfile.TemporaryDirectory() as folder:
        yield Copy(house, Path(folder))


def copies(house: LedgerHouse) -> tempfile.TemporaryDirectory[str]:
    """A fresh place for a copy."""
    return tempfile.TemporaryDirectory()


def lines_of(segment: Segment) -> list[bytes]:
    """The lines of a segment, plain or sealed."""
    content = segment.lines_path().read_bytes()
    if segment.lines_path() == segment.packed:
        content = zstandard.ZstdDecompressor().decompress(content)
    return content.split(b"\n")[:-1]


def put_lines(segment: Segment, lines: Sequence[bytes]) -> None:
    """Other lines in the place of those, in the same form."""
    content = b"".join(line + b"\n" for line in lines)
    packed = segment.lines_path() == segment.packed
    segment.lines_path().write_bytes(zstandard.ZstdCompressor().compress(content) if packed else content)


def readable_lines(content: bytes) -> list[bytes]:
    """The whole lines that come out of a frame, byte by byte, before anything is noticed; its checksum is cut off."""
    frame = bytearray(content[:-4])
    frame[4] &= 0xFB
    found = bytearray()
    with zstandard.ZstdDecompressor().stream_reader(bytes(frame)) as stream, contextlib.suppress(zstandard.ZstdError):
        while byte := stream.read(1):
            found += byte
    return bytes(found).split(b"\n")[:-1]


def first_other(before: list[bytes], now: list[bytes]) -> int:
    """Where two lists of lines part."""
    pairs = enumerate(zip(before, now, strict=False))
    return next((index for index, (old, new) in pairs if old != new), min(len(before), len(now)))


class Spot(NamedTuple):
    """A covered line: of which segment, and its index there."""

    segment: Segment
    index: int
    lines: list[bytes]


def spot(copy: Copy, data: st.DataObject) -> Spot:
    """Any line that a checkpoint covers."""
    segment = data.draw(st.sampled_from(copy.covered()), "segment")
    lines = lines_of(segment)
    tail = 3 if segment.shard == copy.second and segment.number == 3 else 0
    return Spot(segment, data.draw(st.integers(0, len(lines) - 1 - tail), "index"), lines)


def refuted(verified: Verified, segment: Segment, index: int | None = None) -> None:
    """It fails, and its first finding is that place."""
    assert not verified.is_good
    first = next(one for one in verified.findings if one.shard == segment.shard and one.line is not None)
    assert first.severity == "error"
    assert first.file == segment.lines_path().name, verified.findings
    if index is not None:
        assert first.line == index + 1, verified.findings


def test_an_untouched_ledger_is_good(copy: Copy) -> None:
    """And what is worth knowing is told."""
    verified = copy.verify()
    assert verified.is_good
    assert {one.code for one in verified.findings} == {"tail_uncovered", "shard_unclosed"}
    assert (verified.records, verified.covered, verified.shards) == (35, 32, 2)


@EXAMPLES
@given(data=st.data())
def test_a_flipped_byte_of_a_line_is_named_exactly(house: LedgerHouse, data: st.DataObject) -> None:
    """Any byte of any line, its line feed too."""
    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        segment, index, lines = spot(copy, data)
        whole = lines[index] + b"\n"
        at = data.draw(st.integers(0, len(whole) - 1), "at")
        flipped = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255), "by")]) + whole[at + 1 :]
        content = b"".join([*(line + b"\n" for line in lines[:index]), flipped])
        content += b"".join(line + b"\n" for line in lines[index + 1 :])
        packed = segment.lines_path() == segment.packed
        segment.lines_path().write_bytes(zstandard.ZstdCompressor().compress(content) if packed else content)
        refuted(copy.verify(), segment, index)


@EXAMPLES
@given(data=st.data())
def test_a_flipped_byte_of_a_sealed_file_is_seen(house: LedgerHouse, data: st.DataObject) -> None:
    """Compressed, one byte may damage many lines: the first record that is another, or cannot be read, is named."""
    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        segment = copy.covered()[0]
        before = lines_of(segment)
        content = bytearray(segment.packed.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        segment.packed.write_bytes(content)
        verified = copy.verify()
        if not verified.is_good:
            refuted(verified, segment, first_other(before, readable_lines(content)))
        else:  # a bit that says nothing of the content, as the format has some
            assert zstandard.ZstdDecompressor().decompressobj().decompress(bytes(content)).count(b"\n") == 7


@EXAMPLES
@given(data=st.data())
def test_a_deleted_line_is_named_exactly(house: LedgerHouse, data: st.DataObject) -> None:
    """What stands in its place now is the first that is wrong."""
    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        segment, index, lines = spot(copy, data)
        put_lines(segment, lines[:index] + lines[index + 1 :])
        refuted(copy.verify(), segment, index)


@EXAMPLES
@given(data=st.data())
def test_swapped_lines_are_named_exactly(house: LedgerHouse, data: st.DataObject) -> None:
    """The first of the two."""
    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        segment, index, lines = spot(copy, data)
        other = data.draw(st.integers(0, len(lines) - 1).filter(lambda n: n != index), "other")
        lines[index], lines[other] = lines[other], lines[index]
        put_lines(segment, lines)
        refuted(copy.verify(), segment, min(index, other))


@EXAMPLES
@given(data=st.data())
def test_an_inserted_line_is_named_exactly(house: LedgerHouse, data: st.DataObject) -> None:
    """A copy of another, a new record in the right form, or anything at all."""
    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        segment, index, lines = spot(copy, data)
        fresh = lines[0].replace(b'"id":"D', b'"id":"E')
        line = data.draw(st.sampled_from([*lines, fresh, b"", b"{}", b"\xff\x00"]), "line")
        same = next(i for i in range(index, len(lines) + 1) if i == len(lines) or lines[i] != line)
        put_lines(segment, [*lines[:index], line, *lines[index:]])
        # A copy beside its original: the first that is not as it was comes after both.
        refuted(copy.verify(), segment, same)


@EXAMPLES
@given(data=st.data())
def test_a_truncated_segment_names_the_first_missing_record(house: LedgerHouse, data: st.DataObject) -> None:
    """Cut anywhere, within a line or behind one."""
    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        segment, index, lines = spot(copy, data)
        keep = data.draw(st.integers(0, len(lines[index])), "bytes kept of the line")
        content = b"".join(line + b"\n" for line in lines[:index]) + lines[index][:keep]
        if segment.lines_path() == segment.packed:
            content = zstandard.ZstdCompressor().compress(content)
        segment.lines_path().write_bytes(content)
        refuted(copy.verify(), segment, index)


@EXAMPLES
@given(data=st.data())
def test_a_removed_file_is_missed(house: LedgerHouse, data: st.DataObject) -> None:
    """Records, whole shards; of a closed one also its checkpoints."""
    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        segment = data.draw(st.sampled_from(copy.covered()))
        how = data.draw(st.sampled_from(["records", "shard"]))
        doomed = [segment.lines_path()] if how == "records" else list(copy.folder.glob(f"{segment.shard}.*"))
        for path in doomed:
            path.unlink()
        verified = copy.verify()
        assert not verified.is_good
        errors = [one for one in verified.findings if one.severity == "error"]
        assert errors[0].shard == segment.shard
        assert errors[0].code == ("segment_missing" if how == "records" else "shard_missing")


def test_swapped_files_of_two_shards_are_seen(house: LedgerHouse) -> None:
    """Each at its first record."""
    for number in (1, 2, 3):
        with copies(house) as folder:
            copy = Copy(house, Path(folder))
            one, other = Segment(copy.folder, copy.first, number), Segment(copy.folder, copy.second, number)
            here, there = lines_of(one), lines_of(other)
            put_lines(one, there)
            put_lines(other, here)
            verified = copy.verify()
            refuted(verified, one, 0)
            refuted(verified, other, 0)


@EXAMPLES
@given(data=st.data())
def test_an_edited_checkpoint_is_seen(house: LedgerHouse, data: st.DataObject) -> None:
    """Any byte of any of them."""
    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        file = data.draw(st.sampled_from(sorted(copy.folder.glob("*.checkpoint"))))
        content = bytearray(file.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        file.write_bytes(content)
        verified = copy.verify()
        assert not verified.is_good
        assert file.name in {one.file for one in verified.findings if one.severity == "error"}


@EXAMPLES
@given(data=st.data())
def test_a_checkpoint_signed_by_another_key_is_seen(house: LedgerHouse, data: st.DataObject) -> None:
    """Even by one of the same name."""
    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        file = data.draw(st.sampled_from(sorted(copy.folder.glob("*.checkpoint"))))
        forger = Signer.generate(house.signer.verifier.name)
        file.write_text(sign_note(parse_note(file.read_text()).text, [forger]))
        found = copy.verify().findings[0]
        assert (found.code, found.file) == ("checkpoint_forged", file.name)


@EXAMPLES
@given(data=st.data())
def test_a_file_of_another_node_is_seen(house: LedgerHouse, other: LedgerHouse, data: st.DataObject) -> None:
    """Beside the others, in the place of one, or behind the last."""
    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        foreign = data.draw(st.sampled_from([s for found in contents(other.folder).values() for s in found]))
        how = data.draw(st.sampled_from(["beside", "instead", "behind"]))
        if how == "beside":
            shutil.copy(foreign.lines_path(), copy.folder)
            assert ("shard_foreign", foreign.shard) in {(one.code, one.shard) for one in copy.verify().findings}
            return
        target = data.draw(st.sampled_from(copy.covered()))
        if how == "behind":
            target = Segment(copy.folder, target.shard, 4)
            target.plain.write_bytes(b"".join(line + b"\n" for line in lines_of(foreign)))
        else:
            put_lines(target, lines_of(foreign))
        refuted(copy.verify(), target, 0)


@EXAMPLES
@given(data=st.data())
def test_hashes_altered_with_their_records_are_refuted_by_the_signed_root(
    house: LedgerHouse, data: st.DataObject
) -> None:
    """Then no record can be named, but between which checkpoints it is."""
    from policy_service.ledger.merkle import leaf_hashes

    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        segment, index, lines = spot(copy, data)
        lines[index] = lines[index].replace(b'"allow"', b'"deny"') + b" "
        put_lines(segment, lines)
        segment.hashes.write_bytes(b"".join(leaf_hashes(lines[: len(segment.hashes.read_bytes()) // 32])))
        errors = [one for one in copy.verify().findings if one.severity == "error"]
        assert errors[0].code == "root_differs"
        assert errors[0].shard == segment.shard


@EXAMPLES
@given(data=st.data())
def test_altered_hashes_alone_are_told_apart(house: LedgerHouse, data: st.DataObject) -> None:
    """The signed root says that the records are good."""
    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        segment = data.draw(st.sampled_from(copy.covered()))
        content = bytearray(segment.hashes.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        segment.hashes.write_bytes(content)
        errors = [one for one in copy.verify().findings if one.severity == "error"]
        assert [(one.code, one.file) for one in errors] == [("hashes_altered", segment.hashes.name)]


@EXAMPLES
@given(data=st.data())
def test_records_behind_the_end_of_a_closed_shard_are_named(house: LedgerHouse, data: st.DataObject) -> None:
    """In segments of their own, which no hash and no checkpoint is of: the change that closed the shard says enough."""
    with copies(house) as folder:
        copy = Copy(house, Path(folder))
        last = contents(copy.folder)[copy.first][-1]
        lines = lines_of(last)
        fresh = [line.replace(b'"id":"D', b'"id":"E') for line in lines]
        segment = last.next()
        for _ in range(data.draw(st.integers(1, 2), "segments")):
            segment.plain.write_bytes(b"".join(line + b"\n" for line in fresh[: data.draw(st.integers(1, len(lines)))]))
            segment = segment.next()
        verified = copy.verify()
        refuted(verified, last.next(), 0)
        assert next(one.code for one in verified.findings if one.severity == "error") == "record_inserted"

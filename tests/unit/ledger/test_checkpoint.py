"""Checkpoints: one text each, signed by their own log's key, and never two that contradict each other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from policy_service.ledger.checkpoint import (
    checkpoint_text,
    contradiction,
    inconsistency,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from policy_service.ledger.merkle import EMPTY_ROOT, leaf_hashes
from policy_service.ledger.notes import FormatError, open_note, sign_note
from tests.unit.ledger.signing import LEAVES, LINES, NAME, NEWER, OTHER_SHARD, SHARD, SIGNER, WITNESS, a_checkpoint

TEXT = f"""\
{NAME}/{SHARD}
0
47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
time 1780315200000000000
change-chain 7 {"ab" * 32}
shards 3 {"cd" * 32}
open {SHARD}
open {OTHER_SHARD}
"""


def test_the_text_of_a_checkpoint() -> None:
    """Three lines of every log, and ours."""
    assert checkpoint_text(a_checkpoint(0)) == TEXT
    assert parse_checkpoint(TEXT) == a_checkpoint(0)
    assert a_checkpoint(0).origin == f"{NAME}/{SHARD}"
    none_open = TEXT.partition("open ")[0]
    assert parse_checkpoint(none_open) == a_checkpoint(0, open_shards=())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (TEXT, ""),
        (TEXT, "\n"),
        (f"{NAME}/", ""),
        (f"{NAME}/", "/"),
        (f"{NAME}/", "a b/"),
        (f"{NAME}/", "a+b/"),
        (SHARD, "shard"),
        ("\n0\n", "\n00\n"),
        ("\n0\n", "\n-1\n"),
        ("\n0\n", "\n+1\n"),
        ("\n0\n", "\n٣\n"),
        ("\n0\n", "\n9223372036854775808\n"),
        ("\n0\n", f"\n{'9' * 30}\n"),
        ("uFU=", "uFV="),
        ("47DE", ""),
        ("time ", "time  "),
        ("time 1", "time 01"),
        ("time ", "Time "),
        ("ab" * 32, "AB" * 32),
        ("ab" * 32, "ab" * 31),
        ("chain 7", "chain 7.0"),
        ("shards 3", "shards 1"),
        (f"open {SHARD}\n", f"open {OTHER_SHARD}\n"),
        (f"open {SHARD}\n", f"\nopen {SHARD}\n"),
        (f"open {SHARD}\nopen {OTHER_SHARD}\n", f"open {OTHER_SHARD}\nopen {SHARD}\n"),
        (f"open {OTHER_SHARD}\n", f"open {OTHER_SHARD}"),
        (f"open {OTHER_SHARD}\n", f"open {OTHER_SHARD}\nmore\n"),
        ("\n", "\r\n"),
    ],
)
def test_what_is_no_checkpoint(old: str, new: str) -> None:
    """Refused by code, signed or not."""
    text = TEXT.replace(old, new)
    assert text != TEXT
    with pytest.raises(FormatError) as raised:
        parse_checkpoint(text)
    assert raised.value.code == "malformed_checkpoint"


@pytest.mark.parametrize(
    "changed",
    [
        {"size": -1},
        {"time": 1 << 63},
        {"root": b"short"},
        {"name": "a b"},
        {"name": "\ud800"},
        {"shard": "x"},
        {"chain": "AB" * 32},
        {"open_shards": (OTHER_SHARD, SHARD)},
        {"open_shards": (SHARD, SHARD)},
        {"shard_count": 1},
    ],
)
def test_what_cannot_be_written_down_is_a_bug(changed: dict[str, Any]) -> None:
    """It could not be read back, so it is never signed."""
    with pytest.raises(ValueError, match="cannot be written"):
        checkpoint_text(msgspec.structs.replace(a_checkpoint(), **changed))


def test_a_checkpoint_is_opened_by_each_of_the_keys_that_signed_it() -> None:
    """So an auditor with the old verifier key needs no new one at once."""
    note = sign_checkpoint(a_checkpoint(), [SIGNER, NEWER])
    for signer in (SIGNER, NEWER):
        assert open_checkpoint(note, [signer.verifier]) == a_checkpoint()
        assert open_checkpoint(note.encode(), [WITNESS.verifier, signer.verifier]) == a_checkpoint()


def test_a_log_is_vouched_for_by_its_own_key() -> None:
    """A witness's signature beside it is welcome, alone it does not count."""
    with pytest.raises(ValueError, match="of that name alone"):
        sign_checkpoint(a_checkpoint(), [SIGNER, WITNESS])
    text = checkpoint_text(a_checkpoint())
    assert open_checkpoint(sign_note(text, [WITNESS, SIGNER]), [WITNESS.verifier, SIGNER.verifier]) == a_checkpoint()
    for note, verifiers, code in (
        (sign_note(text, [WITNESS]), [WITNESS.verifier, SIGNER.verifier], "foreign_checkpoint"),
        (sign_note(text, [SIGNER]), [WITNESS.verifier], "unknown_signer"),
        (sign_note("no checkpoint\n", [SIGNER]), [SIGNER.verifier], "malformed_checkpoint"),
    ):
        with pytest.raises(FormatError) as raised:
            open_checkpoint(note, verifiers)
        assert raised.value.code == code
    with pytest.raises(FormatError):
        sign_checkpoint(a_checkpoint(), [])
    assert open_note(sign_checkpoint(a_checkpoint(), [SIGNER]), [SIGNER.verifier]).text == text


def test_every_later_checkpoint_of_a_log_is_consistent() -> None:
    """Of any two sizes, at the same or a later change, whatever the clock said."""
    for old in range(len(LINES) + 1):
        for new in range(old, len(LINES) + 1):
            later = a_checkpoint(new, time=5, revision=8, chain="ef" * 32, shard_count=4, shards_digest="ef" * 32)
            assert inconsistency(a_checkpoint(old), a_checkpoint(new), LEAVES) is None
            assert inconsistency(a_checkpoint(old), later, LEAVES) is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"shard": OTHER_SHARD}, "other_log"),
        ({"name": "ledger.example/other"}, "other_log"),
        ({"size": 4}, "log_shrunk"),
        ({"size": 5, "root": EMPTY_ROOT}, "records_altered"),
        ({"revision": 6}, "changes_rewritten"),
        ({"chain": "00" * 32}, "changes_rewritten"),
        ({"shard_count": 2}, "shard_vanished"),
        ({"shards_digest": "00" * 32}, "shard_vanished"),
        ({"open_shards": (SHARD,)}, "shard_vanished"),
        ({"revision": 8, "shard_count": 2}, "shard_vanished"),
    ],
)
def test_what_two_checkpoints_cannot_both_say(changed: dict[str, Any], code: str) -> None:
    """Found without a look at the records."""
    newer = a_checkpoint(**{"size": 5} | changed)
    for found in (contradiction(a_checkpoint(5), newer), inconsistency(a_checkpoint(5), newer, LEAVES)):
        assert found is not None
        assert found.code == code
        assert "\n" not in found.message


def test_records_that_are_not_those_of_a_root() -> None:
    """Altered before the older checkpoint, between the two, or missing."""
    older, newer = a_checkpoint(5), a_checkpoint(9)
    for at, count, code in ((2, 11, "records_altered"), (7, 11, "records_altered"), (11, 8, "log_shrunk")):
        lines = [*LINES[:at], b"forged", *LINES[at + 1 :]][:count]
        found = inconsistency(older, newer, b"".join(leaf_hashes(lines)))
        assert found is not None
        assert found.code == code
    assert inconsistency(older, newer, LEAVES[:-32]) is None

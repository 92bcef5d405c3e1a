"""The published shape of a record in answers is that of its line: the two are written down apart and must not part."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from pydantic.fields import FieldInfo

from policy_service.api import record_shapes
from policy_service.api.shapes import Principal, Shape
from policy_service.ledger import record

PAIRS: dict[type[record.Part], type[Shape]] = {
    record.DecisionRecord: record_shapes.RecordShape,
    record.RecordedCaller: record_shapes.RecordedCallerShape,
    record.RecordedCredential: record_shapes.RecordedCredentialShape,
    record.RecordedFacts: record_shapes.RecordedFactsShape,
    record.RecordedPrincipal: Principal,
    record.RecordedRequest: record_shapes.RecordedRequestShape,
    record.RecordedResource: record_shapes.RecordedResourceShape,
}
NARROWER = {("DecisionRecord", "v"): Literal[1], ("RecordedPrincipal", "kind"): Literal["user", "service"]}
"""What the shape says of a value that the line's reader checks elsewhere: the schema's version, the kinds there are."""


def plain(annotation: Any) -> Any:
    """A type without its None, in the words of answers: a list for a tuple, the shape for the part."""
    if get_origin(annotation) in {Union, types.UnionType}:
        (annotation,) = [one for one in get_args(annotation) if one is not types.NoneType]
    if get_origin(annotation) is tuple:
        item, ellipsis = get_args(annotation)
        assert ellipsis is ...
        return list[item]  # type: ignore[valid-type]  # made at run time
    return PAIRS.get(annotation, annotation)


def members_of_line(part: type[record.Part]) -> dict[str, tuple[Any, bool]]:
    """Type of each member, and whether it may be left out."""
    hints = get_type_hints(part)
    return {
        field.encode_name: (
            NARROWER.get((part.__name__, field.name), plain(hints[field.name])),
            not field.required,
        )
        for field in msgspec.structs.fields(part)
    }


def members_of_shape(shape: type[Shape]) -> dict[str, tuple[Any, bool]]:
    """The same of a shape; what may be left out is None there, and nothing else is."""
    fields: dict[str, FieldInfo] = shape.model_fields
    for name, field in fields.items():
        is_optional = types.NoneType in get_args(field.annotation)
        assert is_optional == (not field.is_required()), name
        assert field.is_required() or field.default is None, name
        assert field.alias is None, name
    return {name: (plain(field.annotation), not field.is_required()) for name, field in fields.items()}


@pytest.mark.parametrize("part", PAIRS, ids=lambda part: part.__name__)
def test_a_shape_has_the_members_of_its_line(part: type[record.Part]) -> None:
    """The same names in the same order, the same types, the same ones that may be left out."""
    assert list(members_of_line(part).items()) == list(members_of_shape(PAIRS[part]).items())


def test_every_part_of_a_record_has_a_shape() -> None:
    """A part that comes new is compared from then on."""
    assert set(record.Part.__subclasses__()) == set(PAIRS)
    shapes = {one for one in vars(record_shapes).values() if isinstance(one, type) and issubclass(one, Shape)}
    assert shapes - {Shape} == set(PAIRS.values())


def test_a_whole_record_passes_through_its_shape_and_loses_nothing() -> None:
    """Of values too: with every member there, what the shape gives back is what the line says."""
    line = {
        "v": record.SCHEMA,
        "id": "d",
        "at": "1",
        "semantics": 1,
        "caller": {"actor": "key:k", "workspace": "w", "verdict": "allowed", "key_id": "k"},
        "workspace": "w",
        "request": {
            "credential": {"outcome": "verified", "key_id": "k", "slot": 1, "fingerprint": "f"},
            "scope": "a:b",
            "resource": {"type": "t", "id": "i", "workspace": "w", "owner": "o", "attributes": {"a": [1]}},
            "source_ip": "10.0.0.1",
            "context": {"c": 1.5},
        },
        "facts": {
            "key_scopes": ["a:b"],
            "teams": ["t"],
            "roles": ["r"],
            "registered": True,
            "owner": "o",
            "attributes": {"a": True},
            "address": "10.0.0.1",
            "allowlist_network": "10.0.0.0/8",
            "key_network": "10.0.0.0/8",
        },
        "decision": "deny",
        "reason": "r",
        "revision": 1,
        "chain": "c",
        "bundle": "b",
        "principal": {"kind": "user", "id": "u"},
        "check": "c",
        "rule": "r",
        "batch_id": "b",
        "item_id": "i",
        "request_id": "r",
        "trace_id": "t",
        "explained": True,
    }
    assert msgspec.json.decode(msgspec.json.encode(msgspec.convert(line, record.DecisionRecord))) == line
    assert set(line) == set(members_of_line(record.DecisionRecord))
    assert record_shapes.RecordShape.model_validate(line).model_dump(exclude_none=True) == line

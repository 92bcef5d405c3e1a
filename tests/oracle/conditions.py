"""Conditions by Google's CEL runtime.

1. The text is compiled in a *typed* environment, where `request`, `key`, `principal`, `resource` and `workspace` are
   messages of a generated protobuf file: so every overload is chosen by declared types.
2. The resulting `CheckedExpr` is evaluated in a second environment whose variables are DYN, on plain dicts: an absent
   value is an absent member, which is an error when read and false for `has()`.
3. A value of the wrong type is left out too, and each `has()` of it is replaced by its known truth: true.
4. The result must be of type BOOL: run-time errors are *returned* by this runtime, and anything else is a fault.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from cel.expr import checked_pb2
from cel_expr_python import cel
from google.protobuf import any_pb2, descriptor_pb2, timestamp_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from policy_service.model.values import ABSENT, WRONG
from tests.oracle.addresses import contains

FAULT = "fault"

STANDARD = {
    "request": {"scope": "string", "time": "timestamp", "ip": "ip", "context": "message"},
    "key": {
        "id": "string",
        "kind": "string",
        "scopes": "list(string)",
        "created_at": "timestamp",
        "expires_at": "timestamp",
        "labels": "labels",
    },
    "principal": {"id": "string", "kind": "string", "teams": "list(string)", "roles": "list(string)"},
    "resource": {"type": "string", "id": "string", "workspace": "string", "owner": "string", "attr": "message"},
    "workspace": {"id": "string"},
}

FIELD = descriptor_pb2.FieldDescriptorProto
SCALARS = {"string": FIELD.TYPE_STRING, "int": FIELD.TYPE_INT64, "double": FIELD.TYPE_DOUBLE, "bool": FIELD.TYPE_BOOL}


def judge(
    text: str,
    values: dict[str, Any],
    *,
    attributes: dict[str, str],
    context: dict[str, str],
    networks: dict[str, list[str]],
) -> bool | str:
    """True, False or FAULT.

    Args:
        values: by path; ABSENT and WRONG stand for what cannot be read; `request.ip` is an address as bits.
        attributes, context: declared types by name.
    """
    wrong = frozenset(path for path, value in values.items() if value is WRONG)
    frozen_networks = tuple((name, tuple(cidrs)) for name, cidrs in sorted(networks.items()))
    declared = tuple(sorted(attributes.items())), tuple(sorted(context.items()))
    result = runnable(text, *declared, frozen_networks, wrong).eval(data=nested(values))
    return bool(result.value()) if result.type() == cel.Type.BOOL else FAULT


Declared = tuple[tuple[str, str], ...]
"""Names with their types."""


@functools.lru_cache(maxsize=4096)
def runnable(text: str, attributes: Declared, context: Declared, networks: Any, wrong: frozenset[str]) -> Any:
    """The expression, ready to be evaluated. Building one takes CEL a millisecond: the one thing remembered here."""
    serialized = typed_environment(dict(attributes), dict(context)).compile(text).serialize()
    checked = checked_pb2.CheckedExpr.FromString(any_pb2.Any.FromString(serialized).value)
    settle_has_of_wrong(checked.expr, wrong)
    packed = any_pb2.Any()
    packed.Pack(checked)
    return untyped_environment(dict(networks)).deserialize(packed.SerializeToString())


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """`{"resource.attr.env": "dev"}` as `{"resource": {"attr": {"env": "dev"}}}`, without what cannot be read."""
    root: dict[str, Any] = {name: {} for name in STANDARD}
    root["request"]["context"] = {}
    root["resource"]["attr"] = {}
    for path, value in values.items():
        if value is ABSENT or value is WRONG:
            continue
        *way, last = path.split(".")
        place = root
        for name in way:
            place = place[name]
        place[last] = value
    return root


def settle_has_of_wrong(expr: Any, wrong: set[str]) -> None:
    """Replace `has(path)` by `true` wherever the value is present but of the wrong type."""
    if expr.WhichOneof("expr_kind") == "select_expr" and expr.select_expr.test_only and path_of(expr) in wrong:
        expr.const_expr.bool_value = True
        return
    for child in child_expressions(expr):
        settle_has_of_wrong(child, wrong)


def path_of(expr: Any) -> str | None:
    kind = expr.WhichOneof("expr_kind")
    if kind == "ident_expr":
        name: str = expr.ident_expr.name
        return name
    if kind == "select_expr":
        return f"{path_of(expr.select_expr.operand)}.{expr.select_expr.field}"
    return None


def child_expressions(message: Message) -> Iterator[Any]:
    """Every `Expr` directly under this message, whatever the shape between."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for item in value if field.is_repeated else [value]:
            if item.DESCRIPTOR.full_name == "cel.expr.Expr":
                yield item
            else:
                yield from child_expressions(item)


def untyped_environment(networks: dict[str, tuple[str, ...]]) -> Any:
    """Where conditions run. Addresses are text here (`"4 0101…"`), so that our two functions can be given them."""

    def in_cidr(address: str, cidr: str) -> bool:
        version, _, bits = address.partition(" ")
        return contains(cidr, (int(version), bits))

    def in_network(address: str, name: str) -> bool:
        return any(in_cidr(address, cidr) for cidr in networks[name])

    return cel.NewEnv(
        variables=dict.fromkeys(STANDARD, cel.Type.DYN),
        functions=address_functions(cel.Type.STRING, {"inCidr": in_cidr, "inNetwork": in_network}),
    )


def address_functions(receiver: Any, implementations: dict[str, Any]) -> list[Any]:
    def overload(name: str) -> Any:
        parameters = [receiver, cel.Type.STRING]
        impl = implementations.get(name)
        given = {"impl": impl} if impl else {}
        return cel.Overload(f"{name}_text", cel.Type.BOOL, parameters, is_member=True, **given)

    return [cel.FunctionDecl(name, [overload(name)]) for name in ("inCidr", "inNetwork")]


def typed_environment(attributes: dict[str, str], context: dict[str, str]) -> Any:
    """Where conditions are checked: a generated message type for each root, for the attributes and for the context."""
    file = descriptor_pb2.FileDescriptorProto(
        name="oracle.proto", package="oracle", syntax="proto3", dependency=["google/protobuf/timestamp.proto"]
    )
    add_message(file, "ip", {})
    add_message(file, "resource_attr", attributes)
    add_message(file, "request_context", context)
    for root, members in STANDARD.items():
        add_message(file, root, members)
    pool = DescriptorPool()
    timestamp_file = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(timestamp_file)
    pool.Add(timestamp_file)
    pool.Add(file)
    return cel.NewEnv(
        pool,
        variables={root: cel.Type(f"oracle.{root}") for root in STANDARD},
        functions=address_functions(cel.Type("oracle.ip"), {}),
    )


def add_message(file: Any, name: str, members: dict[str, str]) -> None:
    message = file.message_type.add(name=name)
    for number, (member, declared) in enumerate(members.items(), start=1):
        field = message.field.add(name=member, number=number, label=FIELD.LABEL_OPTIONAL)
        kind = declared.removeprefix("list(").removesuffix(")")
        if kind != declared:
            field.label = FIELD.LABEL_REPEATED
        if kind in SCALARS:
            field.type = SCALARS[kind]
        elif kind == "labels":
            add_labels(message, field, name)
        else:
            field.type = FIELD.TYPE_MESSAGE
            field.type_name = {
                "timestamp": ".google.protobuf.Timestamp",
                "ip": ".oracle.ip",
                "message": f".oracle.{name}_{member}",
            }[kind]


def add_labels(message: Any, field: Any, name: str) -> None:
    """A protobuf map from string to string: a repeated nested message, by protobuf's own convention."""
    entry = message.nested_type.add(name="LabelsEntry")
    entry.options.map_entry = True
    for number, part in enumerate(("key", "value"), start=1):
        entry.field.add(name=part, number=number, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    field.label, field.type = FIELD.LABEL_REPEATED, FIELD.TYPE_MESSAGE
    field.type_name = f".oracle.{name}.LabelsEntry"

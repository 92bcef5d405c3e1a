"""The CEL environment of one resource type: what can be named, with its type.

Each of `request`, `key`, … is one variable of a generated protobuf message type. So Google's checker finds misspelt
names and mistaken types at load, and `has()` type-checks. Nothing is ever evaluated in this environment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec
from cel_expr_python import cel  # type: ignore[import-untyped]  # its stubs come without a py.typed marker
from google.protobuf import descriptor_pb2, descriptor_pool, timestamp_pb2

from policy_service.language.ir import Type
from policy_service.language.policy import Attribute
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX, STANDARD, Variable

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "policy"
IP_TYPE: Final = f"{_PACKAGE}.Ip"
IN_CIDR: Final = "ip_in_cidr"
IN_NETWORK: Final = "ip_in_network"

_FIELD_TYPES: Final = {
    "bool": _Field.TYPE_BOOL,
    "int": _Field.TYPE_INT64,
    "double": _Field.TYPE_DOUBLE,
    "string": _Field.TYPE_STRING,
}
_MESSAGE_TYPES: Final = {"timestamp": ".google.protobuf.Timestamp", "ip": f".{IP_TYPE}"}


class Schema(msgspec.Struct, frozen=True):
    """What one environment declares.

    Args:
        values: path → type of everything that can be read.
        optional: the paths that may be absent.
        groups: the paths that hold several values, such as `resource.attr`, by the name of their message type.
    """

    environment: cel.Env
    values: dict[str, Type]
    optional: frozenset[str]
    groups: dict[str, str]

    def members(self, group: str) -> list[str]:
        """The names directly below a path such as `resource` or `resource.attr`; of "" the variables."""
        prefix = f"{group}." if group else ""
        below = [path.removeprefix(prefix) for path in self.values if path.startswith(prefix)]
        names = {path.split(".", 1)[0] for path in below}
        return sorted(names | {path.removeprefix(prefix) for path in self.groups.values() if _parent(path) == group})


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def build_schema(
    attributes: Iterable[Attribute] | None, context: Iterable[Attribute], also: Iterable[Variable] = ()
) -> Schema:
    """The environment with the standard variables, the attributes (None: not readable here) and the context.

    Args:
        also: further variables, for statements about decisions.

    Cost: about 0.2 ms.
    """
    variables = (*STANDARD, *also)
    values = {variable.path: variable.type for variable in variables}
    optional = {variable.path for variable in variables if variable.optional}
    declared = [(CONTEXT_PREFIX, attribute) for attribute in context]
    declared += [(ATTRIBUTE_PREFIX, attribute) for attribute in attributes or ()]
    for prefix, attribute in declared:
        values[prefix + attribute.name] = attribute.type
        if not attribute.has_default:
            optional.add(prefix + attribute.name)
    groups = {CONTEXT_PREFIX.rstrip(".")} | ({ATTRIBUTE_PREFIX.rstrip(".")} if attributes is not None else set())
    groups |= {path.split(".", 1)[0] for path in values}
    names = {f"{_PACKAGE}.{_message_name(path)}": path for path in groups}
    return Schema(_environment(values, groups), values, frozenset(optional), names)


def _message_name(path: str) -> str:
    """`resource.attr` → `Resource_attr`: readable, and never the name of another path's message."""
    return path.replace(".", "_").capitalize()


def _environment(values: dict[str, Type], groups: set[str]) -> cel.Env:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(_file(values, groups))
    variables = {group: cel.Type(f"{_PACKAGE}.{_message_name(group)}") for group in groups if "." not in group}
    return cel.NewEnv(pool, variables=variables, functions=_functions())


def _functions() -> list[cel.FunctionDecl]:
    parameters = [cel.Type(IP_TYPE), cel.Type.STRING]
    return [
        cel.FunctionDecl(name, [cel.Overload(overload, cel.Type.BOOL, parameters, is_member=True)])
        for name, overload in (("inCidr", IN_CIDR), ("inNetwork", IN_NETWORK))
    ]


def _file(values: dict[str, Type], groups: set[str]) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="policy.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[timestamp_pb2.DESCRIPTOR.name],
    )
    file.message_type.add(name=IP_TYPE.rpartition(".")[2])
    fields = defaultdict(list)
    for path in sorted(values | dict.fromkeys(group for group in groups if "." in group)):
        fields[_parent(path)].append(path)
    for group in sorted(groups):
        message = file.message_type.add(name=_message_name(group))
        # `a_b` and `aB` are two names here, though protobuf's JSON would confuse them.
        message.options.deprecated_legacy_json_field_conflicts = True
        for number, path in enumerate(fields[group], start=1):
            # Field numbers 19000 to 19999 are protobuf's own; a type has at most a few hundred attributes.
            _add_field(message, number, path, values.get(path))
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, number: int, path: str, kind: Type | None) -> None:
    """One member: a value of a type, or (None) a group of its own."""
    name = path.rpartition(".")[2]
    field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL, json_name=f"f{number}")
    if kind is None:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{_message_name(path)}"
    elif kind.kind == "map":
        field.label, field.type = _Field.LABEL_REPEATED, _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{message.name}.{_add_map_entry(message, name)}"
    else:
        element = kind.element or kind
        field.label = _Field.LABEL_REPEATED if kind.element else _Field.LABEL_OPTIONAL
        field.type = _FIELD_TYPES.get(element.kind, _Field.TYPE_MESSAGE)
        if field.type == _Field.TYPE_MESSAGE:
            field.type_name = _MESSAGE_TYPES[element.kind]


def _add_map_entry(message: descriptor_pb2.DescriptorProto, name: str) -> str:
    """A map from strings to strings, as protobuf spells one."""
    entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
    entry.options.map_entry = True
    for number, field in enumerate(("key", "value"), start=1):
        entry.field.add(name=field, number=number, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    return entry.name

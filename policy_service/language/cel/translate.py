"""From Google's checked tree to ours. What conditions do not offer is refused here, naming the construct."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from cel.expr import checked_pb2, syntax_pb2  # type: ignore[import-untyped]  # xds-protos ships no types

from policy_service.language import ir
from policy_service.language.cel import calls, macros
from policy_service.language.cel.literals import parse_duration, pattern_mistake
from policy_service.language.cel.places import Places
from policy_service.language.cel.schema import IN_CIDR, IN_NETWORK, Schema
from policy_service.language.report import near_match, quoted
from policy_service.model.address import Network, parse_network
from policy_service.model.instants import parse_rfc3339

MAX_ITEMS: Final = 500
MAX_MACRO_DEPTH: Final = 6

_Parse = Callable[[str], int | None]

_PRIMITIVES: Final = {
    checked_pb2.Type.BOOL: ir.BOOL,
    checked_pb2.Type.INT64: ir.INT,
    checked_pb2.Type.DOUBLE: ir.DOUBLE,
    checked_pb2.Type.STRING: ir.STRING,
}
_WELL_KNOWN: Final = {
    checked_pb2.Type.TIMESTAMP: ir.TIMESTAMP,
    checked_pb2.Type.DURATION: ir.DURATION,
}
_CONSTANTS: Final = {"bool_value": ir.BOOL, "int64_value": ir.INT, "double_value": ir.DOUBLE, "string_value": ir.STRING}
_REFUSED: Final = ir.Const(type=ir.BOOL, value=False)
"""Stands for what was refused, so that the rest can still be judged. It never leaves this module: see `translate`."""


def translate(
    checked: checked_pb2.CheckedExpr, schema: Schema, networks: Mapping[str, tuple[Network, ...]], places: Places
) -> ir.Expr | None:
    """The tree in our form; None when something in it was refused, or it is not of type bool: `places` tells."""
    expr = _Translator(checked, schema, networks, places).expr(checked.expr)
    if expr.type != ir.BOOL and not places.has_errors():
        message = f"a condition must be true or false, but this is of type {expr.type}"
        places.report("cel-not-bool", message, 0, places.length)
    return None if places.has_errors() else expr


class _Translator:
    def __init__(
        self,
        checked: checked_pb2.CheckedExpr,
        schema: Schema,
        networks: Mapping[str, tuple[Network, ...]],
        places: Places,
    ) -> None:
        self._types = checked.type_map
        self._overloads = checked.reference_map
        self._positions = checked.source_info.positions
        self._schema = schema
        self._networks = networks
        self._places = places
        self._scopes: list[tuple[str, str]] = []
        self._local_names: set[str] = set()

    def expr(self, node: syntax_pb2.Expr) -> ir.Expr:
        return _TRANSLATORS[node.WhichOneof("expr_kind")](self, node)

    def _offset(self, node: syntax_pb2.Expr) -> int:
        return int(self._positions.get(node.id, 0))

    def _refuse(self, node: syntax_pb2.Expr, message: str, code: str = "cel-unsupported") -> ir.Expr:
        self._places.report(code, message, self._offset(node))
        return _REFUSED

    # Types

    def _type(self, node: syntax_pb2.Expr) -> ir.Type | None:
        return _type(self._types[node.id])

    def _refuse_type(self, node: syntax_pb2.Expr) -> ir.Expr:
        """A value of a type that conditions do not have. Said once, where it arises."""
        if self._places.has_errors():
            return _REFUSED
        return self._refuse(node, _TYPE_REFUSALS.get(_dynamic_kind(self._types[node.id]), _OTHER_TYPE))

    # Leaves

    def const(self, node: syntax_pb2.Expr) -> ir.Expr:
        kind = node.const_expr.WhichOneof("constant_kind")
        if kind not in _CONSTANTS:
            return self._refuse(node, _CONSTANT_REFUSALS.get(kind, _OTHER_TYPE))
        return ir.Const(type=_CONSTANTS[kind], value=getattr(node.const_expr, kind), offset=self._offset(node))

    def ident(self, node: syntax_pb2.Expr) -> ir.Expr:
        name = node.ident_expr.name
        for variable, unique in reversed(self._scopes):
            if variable == name:
                kind = self._type(node)
                if kind is None:
                    return self._refuse_type(node)
                return ir.Local(type=kind, name=unique, offset=self._offset(node))
        return self._whole(node, name)

    def _whole(self, node: syntax_pb2.Expr, path: str) -> ir.Expr:
        """A name that stands for no one value: a group such as `resource`, or the name of a type."""
        path = path.lstrip(".")
        if path not in self._schema.groups.values():
            return self._refuse(node, f"{quoted(path)} is the name of a type, not a value")
        example = f"{path}.{self._schema.members(path)[0]}" if self._schema.members(path) else path
        return self._refuse(node, f"{quoted(path)} is not one value; name what you mean, such as {quoted(example)}")

    def select(self, node: syntax_pb2.Expr) -> ir.Expr:
        path = self._path(node)
        if path is None:
            return self._entry(node)
        kind = self._schema.values.get(path)
        if node.select_expr.test_only and kind is not None:
            return ir.Has(type=ir.BOOL, path=path, offset=self._offset(node.select_expr.operand))
        if kind is None:
            return self._whole(node, path)
        if kind == ir.IP:
            return self._refuse(node, f"{quoted(path)} is only tested with `.inCidr(…)`, `.inNetwork(…)` or `has(…)`")
        return self._read(node, path)

    def _read(self, node: syntax_pb2.Expr, path: str) -> ir.Expr:
        start = node
        while start.HasField("select_expr"):
            start = start.select_expr.operand
        return ir.Read(type=self._schema.values[path], path=path, offset=self._offset(start))

    def _path(self, node: syntax_pb2.Expr) -> str | None:
        """`resource.attr.env` of a chain of selections from a variable; None when it is something else."""
        names: list[str] = []
        while node.HasField("select_expr"):
            names.append(node.select_expr.field)
            node = node.select_expr.operand
        root = node.ident_expr.name
        if not node.HasField("ident_expr") or any(root == variable for variable, _ in self._scopes):
            return None
        path = ".".join([root.lstrip("."), *reversed(names)])
        return path if path in self._schema.values or path in self._schema.groups.values() else None

    def _entry(self, node: syntax_pb2.Expr) -> ir.Expr:
        """`labels.key`, of a map."""
        operand = self.expr(node.select_expr.operand)
        key = node.select_expr.field
        if operand.type.kind != "map":
            return self._refuse_type(node)
        if node.select_expr.test_only:
            return ir.HasEntry(type=ir.BOOL, operand=operand, key=key, offset=self._offset(node))
        args = (operand, ir.Const(type=ir.STRING, value=key, offset=self._offset(node)))
        return ir.Call(type=ir.STRING, overload="index_map", args=args, offset=self._offset(node))

    def list_of(self, node: syntax_pb2.Expr) -> ir.Expr:
        elements = node.list_expr.elements
        if len(elements) > MAX_ITEMS:
            return self._refuse(node, f"a list of more than {MAX_ITEMS} items; keep long lists in attributes")
        items = tuple(self.expr(element) for element in elements)
        kind = self._type(node)
        if kind is None:
            return self._refuse_type(node)
        return ir.ListOf(type=kind, items=items, offset=self._offset(node))

    def struct(self, node: syntax_pb2.Expr) -> ir.Expr:
        message = "`{ }` (a map or message) cannot be written in a condition; compare single values or lists"
        return self._refuse(node, message)

    # Loops

    def loop(self, node: syntax_pb2.Expr) -> ir.Expr:
        macro = macros.recognise(node.comprehension_expr)
        over = self.expr(node.comprehension_expr.iter_range)
        if len(self._scopes) >= MAX_MACRO_DEPTH:
            return self._refuse(node, f"macros are nested more than {MAX_MACRO_DEPTH} deep", "cel-too-deep")
        variable = self._unique(node.comprehension_expr.iter_var)
        self._scopes.append((node.comprehension_expr.iter_var, variable))
        built = self._macro(node, macro, over, variable)
        self._scopes.pop()
        return built

    def _macro(
        self, node: syntax_pb2.Expr, macro: macros.Quantified | macros.Transformed, over: ir.Expr, variable: str
    ) -> ir.Expr:
        place = self._offset(node)
        if isinstance(macro, macros.Quantified):
            body = self.expr(macro.body)
            return ir.Quantifier(
                type=ir.BOOL, quantifier=macro.name, variable=variable, range=over, body=body, offset=place
            )
        condition = None if macro.condition is None else self.expr(macro.condition)
        result = self.expr(macro.result)
        kind = self._type(node)
        if kind is None:
            return self._refuse_type(node)
        return ir.Transform(type=kind, variable=variable, range=over, condition=condition, result=result, offset=place)

    def _unique(self, name: str) -> str:
        unique, number = name, 1
        while unique in self._local_names:
            number += 1
            unique = f"{name}_{number}"
        self._local_names.add(unique)
        return unique

    # Calls

    def call(self, node: syntax_pb2.Expr) -> ir.Expr:
        function = node.call_expr.function
        if function in _CONNECTIVES:
            return self._connective(node)
        overload = self._overload(node)
        if overload in (IN_CIDR, IN_NETWORK):
            return self._in_networks(node, overload)
        special = _SPECIAL_CALLS.get(overload)
        if special is not None:
            return special(self, node)
        operands = [node.call_expr.target] if node.call_expr.HasField("target") else []
        args = tuple(self.expr(operand) for operand in (*operands, *node.call_expr.args))
        return self._plain_call(node, overload, args)

    def _overload(self, node: syntax_pb2.Expr) -> str:
        overload = next(iter(self._overloads[node.id].overload_id), "")
        return calls.ALIASES.get(overload, overload)

    def _plain_call(self, node: syntax_pb2.Expr, overload: str, args: tuple[ir.Expr, ...]) -> ir.Expr:
        if overload in calls.IDENTITIES:
            return args[0]
        kind = self._type(node)
        if any(arg is _REFUSED for arg in args):
            return _REFUSED
        if overload not in calls.SUPPORTED or kind is None:
            return self._refuse(node, _call_refusal(node.call_expr.function, overload))
        return ir.Call(type=kind, overload=overload, args=args, offset=self._offset(node))

    def _connective(self, node: syntax_pb2.Expr) -> ir.Expr:
        args = [self.expr(operand) for operand in node.call_expr.args]
        place = self._offset(node)
        match node.call_expr.function:
            case "!_":
                return ir.Not(type=ir.BOOL, operand=args[0], offset=place)
            case "_&&_":
                return ir.And(type=ir.BOOL, left=args[0], right=args[1], offset=place)
            case "_||_":
                return ir.Or(type=ir.BOOL, left=args[0], right=args[1], offset=place)
        kind = self._type(node)
        if kind is None:
            return self._refuse_type(node)
        return ir.Conditional(type=kind, test=args[0], then=args[1], otherwise=args[2], offset=place)

    # Calls with literal arguments

    def _literal(self, node: syntax_pb2.Expr) -> str | None:
        return node.const_expr.string_value if node.const_expr.HasField("string_value") else None

    def _in_networks(self, node: syntax_pb2.Expr, overload: str) -> ir.Expr:
        target, argument = node.call_expr.target, node.call_expr.args[0]
        name = node.call_expr.function
        path = self._path(target)
        if path is None or self._schema.values.get(path) != ir.IP:
            return self._refuse(target, f"`{name}` is asked of `request.ip` itself: `request.ip.{name}(…)`")
        text = self._literal(argument)
        if text is None:
            return self._refuse(argument, f"`{name}` takes a text in quotes, not a computed value")
        found = self._cidr(argument, text) if overload == IN_CIDR else self._network(argument, text)
        return ir.InNetworks(
            type=ir.BOOL, operand=self._read(target, path), networks=found, label=text, offset=self._offset(node)
        )

    def _cidr(self, node: syntax_pb2.Expr, text: str) -> tuple[Network, ...]:
        network = parse_network(text)
        if isinstance(network, Network):
            return (network,)
        self._refuse(node, network, "cel-bad-cidr")
        return ()

    def _network(self, node: syntax_pb2.Expr, name: str) -> tuple[Network, ...]:
        if name in self._networks:
            return self._networks[name]
        near = near_match(name, self._networks)
        hint = f"did you mean {quoted(near)}?" if near else "declare it in networks.yaml"
        self._refuse(node, f"there is no network {quoted(name)}; {hint}", "cel-unknown-network")
        return ()

    def matches(self, node: syntax_pb2.Expr) -> ir.Expr:
        operand, argument = (
            (node.call_expr.target, node.call_expr.args[0])
            if node.call_expr.HasField("target")
            else (node.call_expr.args[0], node.call_expr.args[1])
        )
        pattern = self._literal(argument)
        subject = self.expr(operand)
        if pattern is None:
            return self._refuse(argument, "`matches` takes a pattern in quotes, not a computed value")
        mistake = pattern_mistake(pattern)
        if mistake is not None:
            message = f"{quoted(pattern)} is not a pattern that RE2 takes: {mistake}"
            return self._refuse(argument, message, "cel-bad-pattern")
        return ir.Matches(type=ir.BOOL, operand=subject, pattern=pattern, offset=self._offset(node))

    def timestamp(self, node: syntax_pb2.Expr) -> ir.Expr:
        return self._parsed(node, ir.TIMESTAMP, parse_rfc3339, '"2026-01-31T09:00:00Z"')

    def duration(self, node: syntax_pb2.Expr) -> ir.Expr:
        return self._parsed(node, ir.DURATION, parse_duration, '"1h30m"')

    def _parsed(
        self, node: syntax_pb2.Expr, kind: ir.Type, parse: Callable[[str], int | None], example: str
    ) -> ir.Expr:
        argument = node.call_expr.args[0]
        text = self._literal(argument)
        if text is None:
            return self._refuse(argument, f"`{kind}` of a text takes a text in quotes, such as {example}")
        value = parse(text)
        if value is None:
            message = f"{quoted(text)} is not a {kind}; write it as in {example}"
            return self._refuse(argument, message, f"cel-bad-{kind}")
        return ir.Const(type=kind, value=value, offset=self._offset(node))

    def with_zone(self, node: syntax_pb2.Expr) -> ir.Expr:
        zone = node.call_expr.args[0]
        if self._literal(zone) != "UTC":
            return self._refuse(zone, 'conditions know UTC only; leave the time zone out, or write "UTC"')
        overload = self._overload(node).removesuffix("_tz").removesuffix("_with")
        return self._plain_call(node, overload, (self.expr(node.call_expr.target),))


def _type(kind: checked_pb2.Type) -> ir.Type | None:
    """Our type, or None for one that conditions do not have."""
    match kind.WhichOneof("type_kind"):
        case "primitive":
            return _PRIMITIVES.get(kind.primitive)
        case "well_known":
            return _WELL_KNOWN.get(kind.well_known)
        case "list_type":
            element = _type(kind.list_type.elem_type)
            return None if element is None else ir.Type("list", element)
        case "map_type":
            both = (_type(kind.map_type.key_type), _type(kind.map_type.value_type))
            return ir.LABELS if both == (ir.STRING, ir.STRING) else None
    return None


def _dynamic_kind(kind: checked_pb2.Type) -> str:
    if kind.WhichOneof("type_kind") == "list_type":
        return f"list of {_dynamic_kind(kind.list_type.elem_type)}"
    return str(kind.WhichOneof("type_kind"))


_OTHER_TYPE: Final = "a value of this type cannot be used in a condition"
_TYPE_REFUSALS: Final = {
    "list of dyn": "the items of a list must all have one type, and an empty list needs something that tells its type",
}
_CONSTANT_REFUSALS: Final = {
    "uint64_value": "unsigned numbers cannot be used in a condition; leave out the `u`",
    "bytes_value": 'bytes cannot be used in a condition; write a text, "…"',
    "null_value": "`null` cannot be used in a condition; ask `has(…)` whether a value is there",
}
_CONNECTIVES: Final = frozenset({"!_", "_&&_", "_||_", "_?_:_"})


def _call_refusal(function: str, overload: str) -> str:
    remedy = f"; {calls.REMEDIES[overload]}" if overload in calls.REMEDIES else ""
    return f"{quoted(calls.SYMBOLS.get(function, function))} cannot be used in a condition like this{remedy}"


_TRANSLATORS: Final[dict[Any, Callable[[_Translator, syntax_pb2.Expr], ir.Expr]]] = {
    "const_expr": _Translator.const,
    "ident_expr": _Translator.ident,
    "select_expr": _Translator.select,
    "call_expr": _Translator.call,
    "list_expr": _Translator.list_of,
    "struct_expr": _Translator.struct,
    "comprehension_expr": _Translator.loop,
}
_SPECIAL_CALLS: Final[dict[str, Callable[[_Translator, syntax_pb2.Expr], ir.Expr]]] = {
    "matches": _Translator.matches,
    "matches_string": _Translator.matches,
    "string_to_timestamp": _Translator.timestamp,
    "string_to_duration": _Translator.duration,
    **{f"{part}_with_tz": _Translator.with_zone for part in calls.PARTS_OF_TIMESTAMP},
    "timestamp_to_seconds_tz": _Translator.with_zone,
}

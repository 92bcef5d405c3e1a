"""Random well-typed conditions, as text, and random values for what they read: present, absent or of a wrong type.

Everything is drawn through `Choose`, so that hypothesis can shrink it and a bulk run can use a plain random generator.
Options are listed simplest first: that is where shrinking ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from policy_service.language import ir
from policy_service.language.ir import Type
from policy_service.language.policy import Attribute
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX, STANDARD
from policy_service.model.address import Network, address_point, parse_network
from policy_service.model.instants import MAX_NS, MIN_NS, NS_PER_S
from policy_service.model.values import ABSENT, WRONG

Choose = Callable[[int], int]
"""`choose(n)`: a number from 0 to n - 1."""

SCALARS = (ir.BOOL, ir.INT, ir.DOUBLE, ir.STRING, ir.TIMESTAMP)
NAMES = {
    "bool": ("b", "c"),
    "int": ("n", "m"),
    "double": ("x", "y"),
    "string": ("s", "region"),
    "timestamp": ("t", "u"),
}
ATTRIBUTES = (
    *(Attribute(name, kind) for kind in SCALARS for name in NAMES[kind.kind]),
    *(Attribute(f"{NAMES[kind.kind][0]}s", Type("list", kind)) for kind in SCALARS),
)
CONTEXT = (Attribute("ticket", ir.STRING), Attribute("count", ir.INT, has_default=True, default=1))


def _networks(*cidrs: str) -> tuple[Network, ...]:
    return tuple(network for network in map(parse_network, cidrs) if isinstance(network, Network))


NETWORK_CIDRS = {
    "office": ["10.0.0.0/8"],
    "vpn": ["10.1.0.0/16", "192.0.2.0/24", "192.0.3.0/24", "2001:db8::/32", "2001:db8::/48"],
    "all": ["any"],
}
NETWORKS = {name: _networks(*cidrs) for name, cidrs in NETWORK_CIDRS.items()}
ADDRESSES = ("10.1.2.3", "11.0.0.0", "192.0.3.255", "2001:db8::1", "::1", "0.0.0.0")
CIDRS = ("10.0.0.0/8", "10.1.2.3", "2001:db8::/32", "any", "128.0.0.0/1")

TYPES = {variable.path: variable.type for variable in STANDARD}
TYPES |= {ATTRIBUTE_PREFIX + attribute.name: attribute.type for attribute in ATTRIBUTES}
TYPES |= {CONTEXT_PREFIX + attribute.name: attribute.type for attribute in CONTEXT}
OPTIONAL = frozenset(path for path in TYPES if path.startswith((ATTRIBUTE_PREFIX, CONTEXT_PREFIX))) | {
    variable.path for variable in STANDARD if variable.optional
}
"""What may be WRONG, and ABSENT as well but for those with a default."""
WITH_DEFAULT = frozenset({f"{CONTEXT_PREFIX}count"})

INTS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    -7,
    10,
    60,
    1000,
    2**31,
    253402300799,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    9223372036,
    9223372037,
)
DOUBLES = (0.0, 1.0, -1.5, 0.1, 2.5, -0.0, 1e6, 123456789.0, 1e-5, 1e308, 5e-324, 2.0**63, -(2.0**63), 9.2e18, 1 / 3)
STRINGS = (
    "",
    "a",
    "b",
    "prod",
    "é",
    "日本",
    "a b",
    "😀a",
    "-1",
    "007",
    " 42 ",
    "+3",
    "1.5",
    ".5e3",
    "true",
    "F",
    "inf",
    "z",
)
INSTANTS = (0, 1, -1, NS_PER_S, 1_780_315_200_000_000_000, 1_709_209_845_123_456_789, -500_000_000, MIN_NS, MAX_NS)
TIMESTAMPS = (
    "1970-01-01T00:00:00Z",
    "2024-02-29T12:30:45.123456789Z",
    "2026-06-01T12:00:00+02:00",
    "9999-12-31T23:59:59Z",
)
DURATIONS = ("1s", "0s", "-1s", "1h30m", "1.5s", "-90.001s", "1ms", "1ns", "2562047h", "-2562047h", "1us", "0.5h")
PATTERNS = ("a", "^a$", "[é日]", "(?i)PROD", "^.$", "\\\\d+", "")
LABELS: tuple[dict[str, str], ...] = ({}, {"a": "b"}, {"a": "a", "env": "prod", "é": "1"})


def literal(value: Any) -> str:
    """A literal of CEL for a bool, int, double or string."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return f"({value!r})" if value < 0 or str(value).startswith("-") else repr(value)


class Writer:
    """Writes one condition. `locals`: the variables of the macros around, with their types."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._locals: list[tuple[str, Type]] = []

    def pick(self, options: Sequence[Any]) -> Any:
        return options[self._choose(len(options))]

    def expr(self, kind: Type, depth: int) -> str:
        """An expression of a type; at depth 0 a leaf."""
        options = self._leaves(kind)
        if depth > 0:
            options = [*options, *self._compounds(kind), *self._compounds(kind)]
        text: str = self.pick(options)(kind, depth - 1)
        return text

    # Leaves

    def _leaves(self, kind: Type) -> list[Callable[[Type, int], str]]:
        leaves = [self._literal]
        if any(path_type == kind for path_type in TYPES.values()):
            leaves += [self._path, self._path]
        if any(local_type == kind for _, local_type in self._locals):
            leaves += [self._local, self._local]
        return leaves

    def _literal(self, kind: Type, depth: int) -> str:
        match kind.kind:
            case "list":
                assert kind.element is not None
                items = [self._literal(kind.element, 0) for _ in range(1 + self._choose(4))]
                return f"[{', '.join(items)}]"
            case "map":
                return "key.labels"
            case "timestamp":
                return f'timestamp("{self.pick(TIMESTAMPS)}")'
            case "duration":
                return f'duration("{self.pick(DURATIONS)}")'
        return literal(self.pick({"bool": (True, False), "int": INTS, "double": DOUBLES, "string": STRINGS}[kind.kind]))

    def _path(self, kind: Type, depth: int) -> str:
        path: str = self.pick([path for path, path_type in TYPES.items() if path_type == kind])
        return path

    def _local(self, kind: Type, depth: int) -> str:
        visible = dict(self._locals)  # an inner variable hides an outer one of the same name
        names = [name for name, local_type in visible.items() if local_type == kind]
        return self.pick(names) if names else self._literal(kind, 0)

    # What combines other expressions

    def _compounds(self, kind: Type) -> list[Callable[[Type, int], str]]:
        if kind.kind == "list":
            return [self._concat, self._choice, self._filter, self._map, self._empty_choice]
        return {
            "bool": [
                *(self._logic, self._logic, self._logic, self._negation, self._compare, self._compare, self._equal),
                *(self._has, self._has, self._in, self._text_test, self._quantified, self._quantified, self._choice),
                *(self._matches, self._address, self._in_labels, self._bool_of_text, self._item),
            ],
            "int": [
                self._arithmetic,
                self._arithmetic,
                self._size,
                self._negative,
                self._part,
                self._to_int,
                self._item,
            ],
            "double": [self._arithmetic, self._negative, self._to_double, self._choice, self._item],
            "string": [self._concat, self._to_string, self._entry, self._choice, self._item],
            "timestamp": [self._shifted, self._to_timestamp, self._choice, self._item],
            "duration": [self._between, self._sum_of_durations, self._choice],
            "map": [self._choice],
        }[kind.kind]

    def _logic(self, kind: Type, depth: int) -> str:
        terms = [self.expr(ir.BOOL, depth) for _ in range(2 + self._choose(2))]
        return f"({self.pick((' && ', ' || ')).join(terms)})"

    def _negation(self, kind: Type, depth: int) -> str:
        return f"!({self.expr(ir.BOOL, depth)})"

    def _choice(self, kind: Type, depth: int) -> str:
        return f"({self.expr(ir.BOOL, depth)} ? {self.expr(kind, depth)} : {self.expr(kind, depth)})"

    def _empty_choice(self, kind: Type, depth: int) -> str:
        return f"({self.expr(ir.BOOL, depth)} ? {self.expr(kind, depth)} : [])"

    def _compare(self, kind: Type, depth: int) -> str:
        operand = self.pick((ir.INT, ir.STRING, ir.DOUBLE, ir.TIMESTAMP, ir.DURATION, ir.BOOL))
        return f"({self.expr(operand, depth)} {self.pick(('<', '<=', '>', '>='))} {self.expr(operand, depth)})"

    def _equal(self, kind: Type, depth: int) -> str:
        operand = self.pick(
            (ir.STRING, *SCALARS, ir.DURATION, *(Type("list", scalar) for scalar in SCALARS), ir.LABELS)
        )
        return f"({self.expr(operand, depth)} {self.pick(('==', '!='))} {self.expr(operand, depth)})"

    def _has(self, kind: Type, depth: int) -> str:
        return f"has({self.pick([*sorted(OPTIONAL), 'request.scope', 'key.labels', 'key.labels.a', 'key.labels.env'])})"

    def _in(self, kind: Type, depth: int) -> str:
        element = self.pick((ir.STRING, *SCALARS, Type("list", ir.DOUBLE)))
        return f"({self.expr(element, depth)} in {self.expr(Type('list', element), depth)})"

    def _in_labels(self, kind: Type, depth: int) -> str:
        return f"({self.expr(ir.STRING, depth)} in {self.expr(ir.LABELS, depth)})"

    def _text_test(self, kind: Type, depth: int) -> str:
        function = self.pick(("contains", "startsWith", "endsWith"))
        return f"{self.expr(ir.STRING, depth)}.{function}({self.expr(ir.STRING, depth)})"

    def _matches(self, kind: Type, depth: int) -> str:
        return f'{self.expr(ir.STRING, depth)}.matches("{self.pick(PATTERNS)}")'

    def _address(self, kind: Type, depth: int) -> str:
        if self._choose(2):
            return f'request.ip.inNetwork("{self.pick(sorted(NETWORKS))}")'
        return f'request.ip.inCidr("{self.pick(CIDRS)}")'

    def _bool_of_text(self, kind: Type, depth: int) -> str:
        return f"bool({self.expr(ir.STRING, depth)})"

    def _quantified(self, kind: Type, depth: int) -> str:
        macro = self.pick(("exists", "all", "exists_one"))
        return self._macro(macro, self.pick((ir.STRING, *SCALARS)), depth, ir.BOOL)

    def _filter(self, kind: Type, depth: int) -> str:
        assert kind.element is not None
        return self._macro("filter", kind.element, depth, ir.BOOL)

    def _map(self, kind: Type, depth: int) -> str:
        assert kind.element is not None
        return self._macro("map", self.pick((kind.element, *SCALARS)), depth, kind.element)

    def _macro(self, macro: str, element: Type, depth: int, body: Type) -> str:
        over = self.expr(Type("list", element), depth)
        if element == ir.STRING and self._choose(6) == 5 and macro != "filter":
            over = "key.labels"
        variable = self.pick(("e", "f", "e_2", "lambda"))
        self._locals.append((variable, element))
        bodies = [self.expr(body, min(depth, 2))]
        if macro == "map" and self._choose(2):
            bodies.insert(0, self.expr(ir.BOOL, min(depth, 1)))
        self._locals.pop()
        return f"{over}.{macro}({', '.join([variable, *bodies])})"

    def _arithmetic(self, kind: Type, depth: int) -> str:
        operators = ("+", "-", "*", "/", "%") if kind == ir.INT else ("+", "-", "*", "/")
        return f"({self.expr(kind, depth)} {self.pick(operators)} {self.expr(kind, depth)})"

    def _negative(self, kind: Type, depth: int) -> str:
        return f"-({self.expr(kind, depth)})"

    def _size(self, kind: Type, depth: int) -> str:
        operand = self.expr(self.pick((ir.STRING, ir.STRINGS, ir.LABELS, Type("list", ir.INT))), depth)
        return f"size({operand})" if self._choose(2) else f"{operand}.size()"

    def _part(self, kind: Type, depth: int) -> str:
        if self._choose(3) == 2:
            part = self.pick(("getHours", "getMinutes", "getSeconds", "getMilliseconds"))
            return f"{self.expr(ir.DURATION, depth)}.{part}()"
        parts = ("FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear")
        part = self.pick((*parts, "Hours", "Minutes", "Seconds", "Milliseconds"))
        zone = self.pick(("", '"UTC"'))
        return f"{self.expr(ir.TIMESTAMP, depth)}.get{part}({zone})"

    def _to_int(self, kind: Type, depth: int) -> str:
        return f"int({self.expr(self.pick((ir.DOUBLE, ir.STRING, ir.TIMESTAMP, ir.INT)), depth)})"

    def _to_double(self, kind: Type, depth: int) -> str:
        return f"double({self.expr(self.pick((ir.INT, ir.DOUBLE)), depth)})"

    def _to_string(self, kind: Type, depth: int) -> str:
        return f"string({self.expr(self.pick((ir.INT, ir.STRING, ir.BOOL, ir.TIMESTAMP, ir.DURATION)), depth)})"

    def _to_timestamp(self, kind: Type, depth: int) -> str:
        return f"timestamp({self.expr(self.pick((ir.INT, ir.TIMESTAMP)), depth)})"

    def _concat(self, kind: Type, depth: int) -> str:
        return f"({self.expr(kind, depth)} + {self.expr(kind, depth)})"

    def _entry(self, kind: Type, depth: int) -> str:
        if self._choose(2):
            return f"key.labels.{self.pick(('a', 'env', 'none'))}"
        return f"{self.expr(ir.LABELS, depth)}[{self.expr(ir.STRING, depth)}]"

    def _item(self, kind: Type, depth: int) -> str:
        return (
            f"{self.expr(Type('list', kind), depth)}[{self.pick((literal(self._choose(3)), self.expr(ir.INT, depth)))}]"
        )

    def _shifted(self, kind: Type, depth: int) -> str:
        instant, duration = self.expr(ir.TIMESTAMP, depth), self.expr(ir.DURATION, depth)
        return self.pick((f"({instant} + {duration})", f"({instant} - {duration})", f"({duration} + {instant})"))

    def _between(self, kind: Type, depth: int) -> str:
        return f"({self.expr(ir.TIMESTAMP, depth)} - {self.expr(ir.TIMESTAMP, depth)})"

    def _sum_of_durations(self, kind: Type, depth: int) -> str:
        return f"({self.expr(ir.DURATION, depth)} {self.pick(('+', '-'))} {self.expr(ir.DURATION, depth)})"


def condition(choose: Choose, depth: int = 3) -> str:
    """The text of a well-typed condition."""
    return Writer(choose).expr(ir.BOOL, depth)


def values(choose: Choose) -> dict[str, Any]:
    """A value for every path, in its run-time form: most are present, some ABSENT, some WRONG."""
    return {path: _maybe_missing(choose, path, kind) for path, kind in TYPES.items()}


def _maybe_missing(choose: Choose, path: str, kind: Type) -> Any:
    luck = choose(10) if path in OPTIONAL else 0
    if luck < 7:
        return _value(choose, kind)
    return ABSENT if luck < 9 and path not in WITH_DEFAULT else WRONG


def _value(choose: Choose, kind: Type) -> Any:
    match kind.kind:
        case "list":
            assert kind.element is not None
            return tuple(_value(choose, kind.element) for _ in range(choose(4)))
        case "map":
            return LABELS[choose(len(LABELS))]
        case "ip":
            return address_point(ADDRESSES[choose(len(ADDRESSES))])
    options: Sequence[Any] = {
        "bool": (False, True),
        "int": INTS,
        "double": DOUBLES,
        "string": STRINGS,
        "timestamp": INSTANTS,
    }[kind.kind]
    return options[choose(len(options))]

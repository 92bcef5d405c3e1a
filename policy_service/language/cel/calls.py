"""The functions and operators of conditions, by CEL's overload ids. What is not here is refused at load."""

from __future__ import annotations

from typing import Final

ALIASES: Final = {
    "size_string": "string_size",
    "size_list": "list_size",
    "size_map": "map_size",
}
"""Two spellings of one meaning."""

IDENTITIES: Final = frozenset(
    {
        "bool_to_bool",
        "double_to_double",
        "duration_to_duration",
        "int64_to_int64",
        "string_to_string",
        "timestamp_to_timestamp",
    }
)
"""Conversions of a value to the type it has."""

_ORDERED: Final = ("bool", "int64", "double", "string", "timestamp", "duration")
COMPARISONS: Final = {
    f"{name}_{kind}": symbol
    for name, symbol in (("less", "<"), ("less_equals", "<="), ("greater", ">"), ("greater_equals", ">="))
    for kind in _ORDERED
}

PARTS_OF_TIMESTAMP: Final = frozenset(
    {
        "timestamp_to_year",
        "timestamp_to_month",
        "timestamp_to_day_of_year",
        "timestamp_to_day_of_month",
        "timestamp_to_day_of_month_1_based",
        "timestamp_to_day_of_week",
        "timestamp_to_hours",
        "timestamp_to_minutes",
        "timestamp_to_seconds",
        "timestamp_to_milliseconds",
    }
)

SUPPORTED: Final = (
    frozenset(COMPARISONS)
    | PARTS_OF_TIMESTAMP
    | {
        "equals",
        "not_equals",
        "add_int64",
        "subtract_int64",
        "multiply_int64",
        "divide_int64",
        "modulo_int64",
        "negate_int64",
        "add_double",
        "subtract_double",
        "multiply_double",
        "divide_double",
        "negate_double",
        "add_string",
        "add_list",
        "add_duration_duration",
        "add_timestamp_duration",
        "add_duration_timestamp",
        "subtract_timestamp_timestamp",
        "subtract_timestamp_duration",
        "subtract_duration_duration",
        "in_list",
        "in_map",
        "index_list",
        "index_map",
        "string_size",
        "list_size",
        "map_size",
        "contains_string",
        "starts_with_string",
        "ends_with_string",
        "bool_to_string",
        "int64_to_string",
        "duration_to_string",
        "timestamp_to_string",
        "string_to_int64",
        "string_to_bool",
        "int64_to_double",
        "double_to_int64",
        "int64_to_timestamp",
        "timestamp_to_int64",
        "duration_to_hours",
        "duration_to_minutes",
        "duration_to_seconds",
        "duration_to_milliseconds",
    }
)

REMEDIES: Final = {
    "double_to_string": "compare the number itself",
    "string_to_double": "declare the value as a double",
    "duration_to_int64": "use `.getSeconds()`",
    "int64_to_duration": 'write it as in `duration("90s")`',
    "to_dyn": "leave it out",
}
"""What to do instead of some calls that are not here: runtimes of CEL differ in these, or do not have them."""

SYMBOLS: Final = {
    "_==_": "==",
    "_!=_": "!=",
    "_<_": "<",
    "_<=_": "<=",
    "_>_": ">",
    "_>=_": ">=",
    "_+_": "+",
    "_-_": "-",
    "_*_": "*",
    "_/_": "/",
    "_%_": "%",
    "-_": "-",
    "!_": "!",
    "_&&_": "&&",
    "_||_": "||",
    "_?_:_": "? :",
    "_[_]": "[ ]",
    "@in": "in",
}
"""CEL's internal names of operators, as authors write them."""

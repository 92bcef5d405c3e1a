# ruff: noqa: E501 - a table reads best with one mistake a line
"""Conditions with mistakes: text, code, and the stretch of text that is blamed. One table, for unit tests and theorems.

In each text the blamed stretch stands between `⟦` and `⟧`; several pairs are several problems, in reading order.
"""

from __future__ import annotations

import re

from tests.property.cel_expressions import literal

DEEP = "(" * 40 + "true" + ")" * 40
NESTED = "true"
for _name in "abcdefg":
    NESTED = f"[1].all({_name}, {NESTED})"
WRITTEN_OUT = "".join(f"[1].all({name}, " for name in "abcdefghijklmnopqrstuvwxyzA") + "true" + ")" * 27
"""Within the checker's limit of nesting; its macros, written out, are past that of the messages they come in."""

MISTAKES: tuple[tuple[str, str, str], ...] = (
    # Syntax
    ("⟦⟧", "cel-syntax", "the condition is empty; leave it out if the rule always applies"),
    (" \n⟦⟧", "cel-syntax", "the condition is empty; leave it out if the rule always applies"),
    ('"é" == "é" &&⟦⟧', "cel-syntax", "the condition ends too early; something is missing at its end"),
    ("(true⟦⟧", "cel-syntax", "`)` is missing at the end"),
    ("true ⟦foo⟧", "cel-syntax", "`foo` does not fit here"),
    ('"é" == key.id⟦)⟧', "cel-syntax", "`)` does not fit here"),
    ('"日本" == ⟦"⟧a', "cel-syntax", "the text that begins here has no closing quote, or an escape that does not exist in it"),
    ('key.id == r⟦"⟧a', "cel-syntax", "the text that begins here has no closing quote, or an escape that does not exist in it"),
    ('"😀" == key.id ⟦&⟧ true', "cel-syntax", "`&` has no meaning alone; write `&&`"),
    ("true ⟦|⟧ false", "cel-syntax", "`|` has no meaning alone; write `||`"),
    ("key.id ⟦=⟧ 'a'", "cel-syntax", "`=` has no meaning alone; write `==`"),
    ("⟦@⟧", "cel-syntax", "`@` has no meaning in a condition"),
    ("⟦package⟧ == 1", "cel-syntax", "`package` is a word that the condition language keeps for itself"),
    ("1 == ⟦9223372036854775808⟧", "cel-syntax", "`9223372036854775808` is not a number of 64 bits"),
    ('⟦"\\ud800"⟧ == "a"', "cel-syntax", "there is an escape in this text that stands for no character"),
    ("key.id == 'a⟦\0⟧'", "cel-syntax", "there is a character here that no text may hold; take it out"),
    ("key.id == '⟦\ud800⟧'", "cel-syntax", "there is a character here that no text may hold; take it out"),
    # Names
    ('"é" == ⟦resourc⟧.id', "cel-undeclared-name", "there is no `resourc`; did you mean `resource`?"),
    ("true &&\n ⟦prod⟧ == key.id", "cel-undeclared-name", "there is no `prod`; conditions see `key`, `principal`, `request`, `resource`, `workspace`; texts stand in quotes"),
    ("resource.attr.⟦regio⟧ == 'a'", "cel-undeclared-name", "`resource.attr` has no `regio`; did you mean `region`?"),
    ("resource.attr.⟦zzz⟧ == 'a'", "cel-undeclared-name", "`resource.attr` has no `zzz`; declare it under `attributes:`"),
    ("request.context.⟦zzz⟧ == 'a'", "cel-undeclared-name", "`request.context` has no `zzz`; declare it in context.yaml"),
    ("workspace.⟦zzz⟧ == 'a'", "cel-undeclared-name", "`workspace` has no `zzz`; it has `id`"),
    ("request.ip.⟦x⟧ == 1", "cel-undeclared-name", "`request.ip` has no parts; test it with `.inCidr(…)` or `.inNetwork(…)`"),
    ("key.id.⟦startswith⟧('é')", "cel-undeclared-name", "there is no function `startswith`; did you mean `startsWith`?"),
    ("⟦zzz⟧ (1)", "cel-undeclared-name", "there is no function `zzz`; the guide for authors lists those there are"),
    # Types
    ('"é" ⟦+⟧ 1 == 2', "cel-type", "`+` does not go with string and int"),
    ("resource.attr.n ⟦<⟧ 1.5", "cel-type", "`<` does not go with int and double; write 1.0 for 1, or convert with `double(…)`"),
    ("key.id ⟦==⟧ null", "cel-type", "`==` does not go with string and null; ask `has(…)` whether a value is there"),
    ("key.labels⟦[⟧1] == 'a'", "cel-type", "`[ ]` does not go with map(string, string) and int"),
    ("request.time ⟦-⟧ 1 == 2", "cel-type", "`-` does not go with timestamp and int"),
    ("resource ⟦==⟧ 1", "cel-type", "`==` does not go with `resource` and int"),
    ("⟦size⟧() == 1", "cel-type", "`size` does not take these arguments"),
    ('request.ip ⟦==⟧ "1"', "cel-type", "an address is tested with `.inCidr(…)` or `.inNetwork(…)`, not compared"),
    ("request.ip.⟦inCidr⟧(1)", "cel-type", "`inCidr` is asked of an address and takes one text in quotes"),
    ("resource.attr.n.⟦x⟧ == 1", "cel-type", "a value of type int has no parts to name"),
    ("resource.attr.⟦n⟧.all(x, true)", "cel-type", "a macro goes over a list, not over a value of type int"),
    ("has(⟦resource⟧)", "cel-type", "`has` asks for a name with a dot, such as `has(resource.owner)`"),
    ("key.scopes.all(x.⟦y⟧, true)", "cel-type", "the first argument of `all` is a new name for each item"),
    ("⟦resource.attr.n⟧", "cel-not-bool", "a condition must be true or false, but this is of type int"),
    ("request.⟦ip⟧", "cel-unsupported", "`request.ip` is only tested with `.inCidr(…)`, `.inNetwork(…)` or `has(…)`"),
    ("⟦key.scopes⟧", "cel-not-bool", "a condition must be true or false, but this is of type list(string)"),
    # What the language has and conditions do not
    ("⟦1u⟧ == ⟦2u⟧", "cel-unsupported", "unsigned numbers cannot be used in a condition; leave out the `u`"),
    ("⟦b⟧'a' == ⟦b⟧'b'", "cel-unsupported", 'bytes cannot be used in a condition; write a text, "…"'),
    ("⟦null⟧ == ⟦null⟧", "cel-unsupported", "`null` cannot be used in a condition; ask `has(…)` whether a value is there"),
    ("⟦resource⟧ == ⟦resource⟧", "cel-unsupported", "`resource` is not one value; name what you mean, such as `resource.attr`"),
    ("⟦has⟧(resource.attr)", "cel-unsupported", "`resource.attr` is not one value; name what you mean, such as `resource.attr.b`"),
    ("⟦int⟧ == ⟦int⟧", "cel-unsupported", "`int` is the name of a type, not a value"),
    ("request.⟦ip⟧ == request.⟦ip⟧", "cel-unsupported", "`request.ip` is only tested with `.inCidr(…)`, `.inNetwork(…)` or `has(…)`"),
    ("⟦{⟧'a': 1}.size() == 1", "cel-unsupported", "`{ }` (a map or message) cannot be written in a condition; compare single values or lists"),
    ("⟦{⟧'a': 1}.a == 1", "cel-unsupported", "`{ }` (a map or message) cannot be written in a condition; compare single values or lists"),
    ("⟦[⟧1, 'a'].size() == 2", "cel-unsupported", "the items of a list must all have one type, and an empty list needs something that tells its type"),
    ("key.scopes.map(x, ⟦[⟧x, 1]).size() == 0", "cel-unsupported", "the items of a list must all have one type, and an empty list needs something that tells its type"),
    ("⟦dyn⟧(1) == 1", "cel-unsupported", "`dyn` cannot be used in a condition like this; leave it out"),
    ("⟦string⟧(1.5) == '1.5'", "cel-unsupported", "`string` cannot be used in a condition like this; compare the number itself"),
    ("⟦bytes⟧(key.id).size() == 1 || true", "cel-unsupported", "`bytes` cannot be used in a condition like this"),
    ("resource⟦.?⟧attr == resource", "cel-unsupported", "`.?` cannot be used in a condition; ask `has(…)` whether a value is there"),
    ("key.scopes⟦[?⟧0] == 'a'", "cel-unsupported", "`[?` cannot be used in a condition; ask `has(…)` whether a value is there"),
    ("key.id.matches(key.⟦id⟧)", "cel-unsupported", "`matches` takes a pattern in quotes, not a computed value"),
    ("request.ip.inCidr('a' ⟦+⟧ 'b')", "cel-unsupported", "`inCidr` takes a text in quotes, not a computed value"),
    ("(true ⟦?⟧ request.ip : request.ip).inCidr('::1')", "cel-unsupported", "`inCidr` is asked of `request.ip` itself: `request.ip.inCidr(…)`"),
    ("request.time.getHours(⟦'Europe/Berlin'⟧) == 1", "cel-unsupported", 'conditions know UTC only; leave the time zone out, or write "UTC"'),
    ("timestamp(key.⟦id⟧) == request.time", "cel-unsupported", '`timestamp` of a text takes a text in quotes, such as "2026-01-31T09:00:00Z"'),
    # Literals judged at load
    ("timestamp(⟦'2026-02-30T00:00:00Z'⟧) == request.time", "cel-bad-timestamp", '`2026-02-30T00:00:00Z` is not a timestamp; write it as in "2026-01-31T09:00:00Z"'),
    ("duration(⟦'1d'⟧) == duration('1s')", "cel-bad-duration", '`1d` is not a duration; write it as in "1h30m"'),
    ("duration(⟦'0.5ns'⟧) == duration('1s')", "cel-bad-duration", '`0.5ns` is not a duration; write it as in "1h30m"'),
    ("duration(⟦'2562048h'⟧) == duration('1s')", "cel-bad-duration", '`2562048h` is not a duration; write it as in "1h30m"'),
    ("'é' == key.id || request.ip.inCidr(⟦'10.0.0.1/8'⟧)", "cel-bad-cidr", "`10.0.0.1/8` has host bits set; write `10.0.0.0/8`"),
    ("request.ip.inNetwork(⟦'offic'⟧)", "cel-unknown-network", "there is no network `offic`; did you mean `office`?"),
    ("request.ip.inNetwork(⟦'moon'⟧)", "cel-unknown-network", "there is no network `moon`; declare it in networks.yaml"),
    ("key.id.matches(⟦'('⟧)", "cel-bad-pattern", "`(` is not a pattern that RE2 takes: missing ): ("),
    (f"key.id.matches(⟦'{'a' * 1001}'⟧)", "cel-bad-pattern", "`" + "a" * 59 + "…` is not a pattern that RE2 takes: it is longer than 1000 characters"),
    # Bounds
    (f"⟦{DEEP}⟧", "cel-too-deep", "the condition is nested too deeply; split it into several rules"),
    (f"⟦{WRITTEN_OUT}⟧", "cel-too-deep", "the condition is nested too deeply; split it into several rules"),
    (NESTED.replace("[1].all(a", "[1].⟦all⟧(a"), "cel-too-deep", "macros are nested more than 6 deep"),
    (f"1 in ⟦[⟧{', '.join('1' * 501)}]", "cel-unsupported", "a list of more than 500 items; keep long lists in attributes"),
    (f"key.id == {literal('a' * 4084)}⟦ ⟧", "cel-too-long", "the condition has more than 4096 characters; split the rule"),
)  # fmt: skip


def unmarked(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its marks, and the marked stretches."""
    pieces = re.split("[⟦⟧]", marked)
    places, offset = [], 0
    for number, piece in enumerate(pieces):
        if number % 2:
            places.append((offset, offset + len(piece)))
        offset += len(piece)
    return "".join(pieces), places

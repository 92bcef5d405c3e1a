"""What a suite covered, written over the rule files: one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

import msgspec

from policy_service.analysis.coverage import GOALS, Coverage, Goal, RuleCovered, Tally
from policy_service.cli.policy.testing.coverage_text import WORDS, cell, percent
from policy_service.language.rule_sources import RuleSource, rule_sources

PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Coverage {percent} %</title>
<style>
:root {{ color-scheme: light dark; --full: #1a7f37; --part: #9a6700; --none: #cf222e; --line: #8884; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }}
h2 {{ font: 600 1rem/2 ui-monospace, monospace; margin: 2rem 0 .25rem; }}
table {{ border-collapse: collapse; width: 100%; font-size: 13px; }}
th, td {{ text-align: right; padding: .15rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; white-space: normal; }}
td.atom {{ padding-left: 1.8rem; font-family: ui-monospace, monospace; opacity: .85; }}
td.missing {{ color: var(--none); font-weight: 600; }}
pre {{ font: 13px/1.55 ui-monospace, monospace; overflow-x: auto; border: 1px solid var(--line); padding: .6rem 0; }}
pre .row {{ display: block; padding: 0 .8rem; }} pre .row:target {{ background: #8882; }}
pre .no {{ display: inline-block; width: 3em; opacity: .5; user-select: none; }}
.full {{ border-bottom: 2px solid var(--full); }} .part {{ border-bottom: 2px dashed var(--part); }}
.none {{ border-bottom: 3px double var(--none); }} mark {{ background: none; color: inherit; cursor: help; }}
</style></head><body>
<h1>Coverage {percent}&nbsp;%</h1>
<p>{reached} of {goals} goals were reached by the tests. Point at an underlined rule or condition to see how often it
was satisfied, not satisfied, faulting, deciding: <mark class="full">all of it seen</mark>, <mark class="part">some
of it missing</mark>, <mark class="none">never seen</mark>.</p>
{table}
{files}
</body></html>
"""


class _Note(msgspec.Struct, frozen=True, order=True):
    """A stretch of a file's text with something to say of it."""

    start: int
    end: int
    tally: Tally


def coverage_page(coverage: Coverage, files: Mapping[str, str]) -> str:
    """The page.

    Args:
        files: the rule files that were covered, by relative path.
    """
    named = sorted({rule.place.file for rule in coverage.rules})
    return PAGE.format(
        percent=percent(coverage),
        reached=coverage.reached(),
        goals=coverage.goals(),
        table=_table(coverage),
        files="\n".join(_file(name, files[name].removeprefix("\ufeff"), coverage) for name in named),
    )


def _table(coverage: Coverage) -> str:
    head = "".join(f"<th>{escape(word)}</th>" for word in WORDS.values())
    rows = "\n".join(row for rule in coverage.rules for row in _rows(rule))
    return f"<table><thead><tr><th>rule</th>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"


def _rows(rule: RuleCovered) -> Iterator[str]:
    link = f'<a href="#{escape(rule.place.file)}:{rule.place.line}">{escape(rule.type)} {escape(rule.name)}</a>'
    yield f"<tr><td>{link}</td>{_cells(rule.tally)}</tr>"
    for _condition, one in rule.parts():
        yield f'<tr><td class="atom">{escape(one.text)}</td>{_cells(one.tally)}</tr>'


def _cells(tally: Tally) -> str:
    return "".join(_cell(tally, goal) for goal in GOALS)


def _cell(tally: Tally, goal: Goal) -> str:
    if goal not in tally.wanted:
        return "<td></td>"
    kind = ' class="missing"' if goal in tally.missing() else ""
    return f"<td{kind}>{cell(tally, goal)}</td>"


def _file(name: str, text: str, coverage: Coverage) -> str:
    sources = rule_sources(name, text)
    notes = [note for rule in coverage.rules if rule.place.file == name for note in _notes(rule, sources, text)]
    lines = _marked(text, sorted(notes)).rstrip("\n").split("\n")
    rows = (
        f'<span class="row" id="{escape(name)}:{number}"><span class="no">{number}</span>{line}</span>'
        for number, line in enumerate(lines, start=1)
    )
    return f"<h2>{escape(name)}</h2>\n<pre>{''.join(rows)}</pre>"


def _notes(rule: RuleCovered, sources: Mapping[tuple[int, int], RuleSource], text: str) -> Iterator[_Note]:
    start = sum(len(line) + 1 for line in text.split("\n")[: rule.place.line - 1]) + rule.place.column - 1
    yield _Note(start, start + rule.place.end_column - rule.place.column, rule.tally)
    for condition in rule.conditions:
        indexes = sources[rule.place.line, rule.place.column].conditions[condition.field]
        for one in condition.atoms:
            yield _Note(indexes[one.atom.start], indexes[one.atom.end - 1] + 1, one.tally)


def _marked(text: str, notes: list[_Note]) -> str:
    """Each noted stretch in a `mark` on every line that it is on."""
    parts, at = [], 0
    for note in notes:
        parts += [escape(text[at : note.start]), _mark(text[note.start : note.end], note.tally)]
        at = note.end
    return "".join([*parts, escape(text[at:])])


def _mark(text: str, tally: Tally) -> str:
    missing = tally.missing()
    kind = "full" if not missing else "none" if len(missing) == tally.possible() else "part"
    told = ", ".join(f"{WORDS[goal]} {cell(tally, goal)}" for goal in tally.wanted)
    opening = f'<mark class="{kind}" title="{told}">'
    return "\n".join(f"{opening}{escape(line)}</mark>" if line.strip() else line for line in text.split("\n"))

"""Every command that the pages show is one that there is, with options that it takes."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from policy_service.cli.main import build

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "tests").rglob("*.md"))]
TREE: Any = typer.main.get_command(build())
NOUNS = frozenset(name for name, one in TREE.commands.items() if hasattr(one, "commands"))
FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
PLACEHOLDER = re.compile(r"[…|\[<]")
"""In prose a command may stand for several (`a | b`, `--without-…`): then its words are checked up to there."""
STARTS = re.compile(r"(?:^|[|;&(]|\$\()\s*(?:[A-Z_]+=\S*\s+)*(policy-service|make|python -m)\s+(.+)")


def shown(page: Path) -> Iterator[tuple[str, str]]:
    """Program and arguments of each command in the page's blocks and in its sentences."""
    text = page.read_text()
    for block in FENCED.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            yield from commands_in(line.strip().removeprefix("$ "))
    for code in INLINE.findall(FENCED.sub("", text)):
        words = " ".join(code.split())
        first, _, rest = words.partition(" ")
        if first in NOUNS and rest and rest.split()[0] in TREE.commands[first].commands:
            yield "policy-service", words
        else:
            yield from commands_in(words)


def commands_in(line: str) -> Iterator[tuple[str, str]]:
    found = STARTS.search(line)
    while found:
        arguments = found[2]
        yield found[1], re.split(r"\s(?:\||>|>>|<|2>|&|;|#|&&|\|\|)(?:\s|$)|[;)]", arguments)[0]
        found = STARTS.search(arguments)


def words_of(arguments: str) -> list[str]:
    try:
        return shlex.split(arguments)
    except ValueError:
        return arguments.split()


def mistake_in(arguments: str) -> str | None:
    """What is wrong with the arguments of `policy-service`, or None."""
    command, words = TREE, words_of(arguments)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if PLACEHOLDER.search(words[0]) or words[0].isupper():
            return None
        if words[0] not in command.commands:
            return f"there is no `{words[0]}`"
        command, words = command.commands[words[0]], words[1:]
    options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    for word in words:
        if word == "--" or PLACEHOLDER.search(word):
            break
        if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in options:
            return f"it takes no `{word}`"
    return None


SHOWN = [
    pytest.param(program, arguments, id=f"{page.relative_to(ROOT)}: {program} {arguments}"[:120])
    for page in PAGES
    for program, arguments in shown(page)
]
TARGETS = frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize(("program", "arguments"), SHOWN)
def test_every_command_that_is_shown_is_there(program: str, arguments: str) -> None:
    """Its noun, its verb, its options; the target of the Makefile; the module."""
    first = arguments.split(maxsplit=1)[0]
    if program == "policy-service":
        assert mistake_in(arguments) is None, arguments
    elif program == "make":
        targets = [word for word in arguments.split() if re.fullmatch(r"[a-z][a-z-]*", word)]
        assert set(targets[:1]) <= TARGETS, arguments
    elif re.match(r"(bench|tests|policy_service)\b", first):
        assert importlib.util.find_spec(first) is not None, arguments


def test_commands_are_found_and_mistakes_in_them_seen() -> None:
    """Else the test above would hold of a page that it cannot read."""
    assert len(SHOWN) > 100
    assert mistake_in("ledger verify --against kept.txt --json") is None
    assert mistake_in("ledger verfy") == "there is no `verfy`"
    assert mistake_in("ledger verify --agianst kept.txt") == "it takes no `--agianst`"
    assert list(commands_in("X=1 policy-service keys list --json | jq .  # all")) == [
        ("policy-service", "keys list --json")
    ]

"""The documentation is held to what it says: links lead somewhere, lists are complete."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from policy_service.language.variables import STANDARD
from policy_service.model.reasons import REASONS

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    """A link to a file that is not there is a broken promise."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert missing == []


def test_every_dependency_is_explained() -> None:
    """Each dependency in pyproject.toml has its line in docs/dependencies.md, and no line is left over."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    declared = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {re.split(r"[\[<>=]", line)[0].lower() for line in declared}
    rows = re.findall(r"^\| ([\w, -]+) \|", (ROOT / "docs/dependencies.md").read_text(), re.M)
    explained = {name.strip().lower() for row in rows for name in row.split(",")} - {"package"}
    assert explained == names


def test_the_readme_lists_every_built_in_reason() -> None:
    """The reason table of the README is complete."""
    text = (ROOT / "README.md").read_text()
    assert [code for code in REASONS if f"`{code}`" not in text] == []


def test_the_authors_guide_lists_every_variable() -> None:
    """Whatever a condition can read stands in the authors' guide."""
    text = (ROOT / "docs/authors.md").read_text()
    assert [v.path for v in STANDARD if v.path not in text and f"`.{v.path.split('.')[1]}`" not in text] == []


def test_the_ten_line_pep_in_the_callers_guide_is_the_tested_one() -> None:
    """The code shown to callers is the code that is run against the server."""
    code = (ROOT / "docs/examples/pep.py").read_text()
    function = code[code.index("def enforce") :].strip()
    assert function in (ROOT / "docs/callers.md").read_text()


def test_no_page_names_a_package_registry_or_a_machine_path() -> None:
    """Pages serve every reader, wherever they are."""
    text = "\n".join(page.read_text() for page in PAGES)
    assert re.findall(r"pypi\.org|/home/\w+|/root/", text) == []


NAMES = frozenset(
    name
    for path in (ROOT / "tests").rglob("*.py")
    for name in (path.stem, *re.findall(r"def (test_\w+)", path.read_text()))
)


def test_every_invariant_names_a_test_that_there_is() -> None:
    """A promise that nothing holds is a comment; one whose test went by another name cannot be looked up."""
    wrong = []
    for path in sorted((ROOT / "policy_service").rglob("*.py")):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if "INVARIANT:" in line:
                named = re.findall(r"\btest_\w+", " ".join(lines[number : number + 5]))
                if not named or named[0] not in NAMES:
                    wrong.append(f"{path.relative_to(ROOT)}:{number + 1}: {named[:1]}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    """Whoever doubts a page looks it up."""
    assert set(re.findall(r"`(test_\w+)`", page.read_text())) <= NAMES

"""`make property`: the theorems alone, with the branch coverage they give to model, language, engine and emitted code.

    python -m tests.property.cover [pytest arguments]

Prints each layer's figure and every line that no theorem reaches. HYPOTHESIS_PROFILE chooses how many examples.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

LAYERS = ("model", "language", "engine")
EMITTED = "emitted_policy.py"
"""The name of the file that test_emitted.py writes the generated module to."""


def main(arguments: list[str]) -> int:
    """Run the theorems under coverage; the exit code is pytest's."""
    os.environ.setdefault("HYPOTHESIS_PROFILE", "ci")
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as folder:
        measured = coverage.Coverage(
            branch=True,
            data_file=None,
            include=[f"{root}/policy_service/{layer}/*" for layer in LAYERS] + [f"*/{EMITTED}"],
        )
        measured.start()
        code = pytest.main(["-q", "-p", "no:cacheprovider", f"--basetemp={folder}/pytest", str(Path(__file__).parent), *arguments])
        import_all()
        measured.stop()
        report(measured, root)
    return int(code)


def import_all() -> None:
    """A module that no theorem needs counts as not covered, not as not there."""
    for layer in LAYERS:
        package = importlib.import_module(f"policy_service.{layer}")
        for module in pkgutil.walk_packages(package.__path__, f"policy_service.{layer}."):
            importlib.import_module(module.name)


def report(measured: coverage.Coverage, root: Path) -> None:
    """One line a layer, one line for each file that is not covered whole."""
    for layer in (*LAYERS, "emitted code"):
        figures = [
            measured._analyze(name).numbers  # noqa: SLF001 - the public report only prints
            for name in files_of(measured, root, layer)
        ]
        total = sum(figures[1:], figures[0])
        print(f"{layer:14} {total.pc_covered:6.2f} %  {total.n_statements} statements, {total.n_branches} branches")
    sys.stdout.flush()
    measured.report(show_missing=True, skip_covered=True, file=sys.stdout)


def files_of(measured: coverage.Coverage, root: Path, layer: str) -> Iterator[str]:
    for name in measured.get_data().measured_files():
        path = Path(name)
        if path.name == EMITTED:
            found = "emitted code"
        else:
            found = path.relative_to(root / "policy_service").parts[0]
        if found == layer:
            yield name


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

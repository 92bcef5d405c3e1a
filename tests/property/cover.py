"""`make property`: the theorems alone, with the branch coverage they give to model, language, engine and emitted code.

    python -m tests.property.cover [pytest arguments]

Prints each layer's figure and every line that no theorem reaches. HYPOTHESIS_PROFILE chooses how many examples.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import tempfile
from collections import Counter
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
            config_file=False,
            include=[f"{root}/policy_service/{layer}/*" for layer in LAYERS] + [f"*/{EMITTED}"],
        )
        measured.start()
        options = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder}/pytest", *arguments]
        code = pytest.main([*options, str(Path(__file__).parent)])
        import_all()
        measured.stop()
        report(measured, root, Path(folder))
    return int(code)


def import_all() -> None:
    """A module that no theorem needs counts as not covered, not as not there."""
    for layer in LAYERS:
        package = importlib.import_module(f"policy_service.{layer}")
        for module in pkgutil.walk_packages(package.__path__, f"policy_service.{layer}."):
            importlib.import_module(module.name)


def report(measured: coverage.Coverage, root: Path, folder: Path) -> None:
    """One line a layer, then one for each file that is not covered whole."""
    measured.json_report(outfile=str(folder / "coverage.json"))
    layers: dict[str, Counter[str]] = {}
    for name, found in json.loads((folder / "coverage.json").read_text())["files"].items():
        path = Path(name).absolute()
        layer = "emitted code" if path.name == EMITTED else path.relative_to(root / "policy_service").parts[0]
        layers.setdefault(layer, Counter()).update(found["summary"])
    for layer, sums in layers.items():
        covered = sums["covered_lines"] + sums["covered_branches"]
        share = 100 * covered / (sums["num_statements"] + sums["num_branches"])
        print(f"{layer:14} {share:6.2f} %  {sums['num_statements']} statements, {sums['num_branches']} branches")
    sys.stdout.flush()
    measured.report(show_missing=True, skip_covered=True, file=sys.stdout)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

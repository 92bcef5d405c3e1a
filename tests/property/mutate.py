"""`make mutation MODULE=…`: mutants of one module or a few, and which of them no judge catches.

    python -m tests.property.mutate policy_service/engine/index.py [more modules]

Works in `build/mutation`, prints what survives as differences, and ends with 1 if anything does. mutmut makes mutants
of these modules alone, notes which judges reach which function, and forks a process for each mutant, which stops at the
first judge that fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build/mutation"
NEEDED = ("policy_service", "policies", "alembic", "bench", "docs", "tests", "README.md", "pyproject.toml", "Makefile")
SURVIVOR = re.compile(r"^\s+(\S+__mutmut_\d+): (survived|no tests|suspicious|timeout)$", re.MULTILINE)


def main(modules: list[str]) -> int:
    """Run, and tell what survived."""
    missing = [module for module in modules if not (ROOT / module).is_file()]
    if missing or not modules:
        print(f"no such module: {missing[0]}" if missing else (__doc__ or "").splitlines()[0], file=sys.stderr)
        return 2
    prepare(modules)
    run = mutmut("run", "--max-children", str(os.cpu_count() or 1))
    if run.returncode:
        return 2
    found = SURVIVOR.findall(mutmut("results", captured=True).stdout)
    for name, what in found:
        print(f"{what}: {mutmut('show', name, captured=True).stdout}")
    print(f"{len(found)} mutants of {', '.join(modules)} were not caught")
    return 1 if found else 0


def prepare(modules: list[str]) -> None:
    """A checkout of its own, whose configuration names the modules."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, FOLDER / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, FOLDER / name)
    path = FOLDER / "pyproject.toml"
    path.write_text(path.read_text().replace("[tool.mutmut]\n", f"[tool.mutmut]\nonly_mutate = {modules!r}\n"))


def mutmut(*arguments: str, captured: bool = False) -> subprocess.CompletedProcess[str]:
    """One of its commands, under the short profile: a fall is all that is asked, not the smallest world for it."""
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutation"}
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=FOLDER, env=environment, text=True, check=False, capture_output=captured)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

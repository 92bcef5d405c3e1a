"""`make bench-peers`: our engine beside others. Answers are compared before anything is timed.

    python -m bench.peers [SECTION …] [--quick] [--keys 1000,100000] [--rounds N] [--load-s N] [--no-write]

Sections: rules, smallest, kinds, keys, http; all without a name. Writes docs/performance/results.json, the plots beside
it and the generated part of docs/performance.md; a section that is not measured keeps its last results. `--quick` takes
less than a minute, says little and writes nothing. A time never fails a build; a wrong answer does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.peers import plots, report
from bench.peers.sections import QUICK, SECTIONS, Effort, why_not
from policy_service.cli.shared.screen import Screen

PAGE: Final = Path(__file__).parents[2] / "docs/performance.md"
FOLDER: Final = PAGE.with_suffix("")
RESULTS: Final = FOLDER / "results.json"


def main(arguments: list[str]) -> int:
    """Measure, print, write. 1 where an engine answered wrongly: nothing was timed then."""
    options = _options(arguments)
    screen, effort = Screen(), _effort(options)
    measured: dict[str, Any] = {}
    for name in options.sections or SECTIONS:
        if why := why_not(name):
            screen.note(f"skipped {name}: {why}")
            continue
        screen.note(f"measuring {name} …")
        measured[name] = {**_provenance(effort), "data": SECTIONS[name](effort)}
        _print(screen, {name: measured[name]})
    if not (options.quick or options.no_write):
        _write(screen, measured)
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS], metavar="SECTION")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--keys", type=_numbers, help="numbers of keys, separated by commas")
    parser.add_argument("--rounds", type=int, help="of every engine")
    parser.add_argument("--load-s", type=int, help="seconds of one run of load over HTTP")
    return parser.parse_args(arguments)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def _effort(options: argparse.Namespace) -> Effort:
    """What was asked for, over the thorough or the quick form."""
    given = {"keys": options.keys, "rounds": options.rounds, "http_rounds": options.rounds, "load_s": options.load_s}
    effort = QUICK if options.quick else Effort()
    return msgspec.structs.replace(effort, **{name: value for name, value in given.items() if value})


def _provenance(effort: Effort) -> dict[str, Any]:
    """When, what, how and where."""
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "commit": _commit(),
        "effort": f"{effort.rounds} rounds of {effort.seconds} s, over HTTP {effort.http_rounds} of {effort.load_s} s",
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, CPython {platform.python_version()}",
    }


def _commit() -> str:
    """The checkout's commit, with a `+` where files are changed; `unknown` where it is none."""
    git = ["git", "-C", str(PAGE.parent), "describe", "--always", "--dirty=+"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _print(screen: Screen, results: report.Results) -> None:
    for title, headers, rows in report.tables(results):
        screen.line()
        screen.line(title, style="bold")
        screen.table(headers, rows)
    for name, why in report.skipped(results):
        screen.note(f"skipped {name}: {why}")


def _write(screen: Screen, measured: dict[str, Any]) -> None:
    """Keep the results, the plots and the page in step."""
    FOLDER.mkdir(exist_ok=True)
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results = {name: found for name in SECTIONS if (found := measured.get(name) or before.get(name))}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    report.write(PAGE, results)
    try:
        plots.draw(FOLDER, results)
    except ImportError:
        screen.note("no plots: they need matplotlib (pip install --editable '.[bench]')")
    screen.note(f"written: {PAGE.name}, {RESULTS.name} and plots in {FOLDER}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

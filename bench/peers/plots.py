"""Plots of the results, as SVG: rules → cost, keys → memory, connections → latency.

The same results make the same files, byte for byte.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.peers.report import Results

_STYLE: Final[Any] = {"svg.hashsalt": "policy-service", "svg.fonttype": "path", "font.size": 9, "axes.grid": True}
_FAINT: Final[Any] = {"alpha": 0.3, "linewidth": 0.5}


def draw(folder: Path, results: Results) -> list[Path]:
    """Draw whatever was measured; the files drawn. Raises ImportError where matplotlib is not installed."""
    import matplotlib  # noqa: PLC0415 - only where plots are asked for

    matplotlib.use("svg")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with matplotlib.rc_context(_STYLE):
        for name, (section, plot) in _PLOTS.items():
            if section in results:
                drawn.append(folder / f"{name}.svg")
                plot(drawn[-1], results[section]["data"])
    return drawn


@contextmanager
def _axes(path: Path, title: str, across: str, up: str) -> Iterator[Any]:
    """Axes to draw on, logarithmic both ways; saved at the end."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=across, ylabel=up, xscale="log", yscale="log")
    axes.grid(which="both", **_FAINT)
    yield axes
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def _rules(path: Path, data: Any) -> None:
    counts = [one["rules"] for one in data]
    with _axes(path, "A decision in process, by the number of rules", "rules", "µs a decision") as axes:
        for place, engine in enumerate(data[0]["engines"]):
            costs = [one["engines"][place]["median_us"] for one in data]
            axes.plot(counts, costs, marker="o", label=engine["engine"])


def _keys(path: Path, data: Any) -> None:
    counts = [one["keys"] for one in data]
    with _axes(path, "Memory of one process, by the number of keys", "keys", "MB") as axes:
        axes.plot(counts, [one["process_mb"] for one in data], marker="o", label="measured")
        goal = [100 + count * 300 / 1024 / 1024 for count in counts]
        axes.plot(counts, goal, linestyle="--", label="goal: 100 MB and 300 bytes a key")


def _connections(path: Path, data: Any) -> None:
    with _axes(path, "Latency over HTTP, closed loop, one core", "connections", "ms (solid p50, dashed p99)") as axes:
        for place, (name, by_count) in enumerate(_by_engine(data["connections"]).items()):
            counts = sorted(by_count)
            for field, style in (("p50_ms", "-"), ("p99_ms", "--")):
                medians = [statistics.median(run[field] for run in by_count[count]) for count in counts]
                label = name if style == "-" else None
                axes.plot(counts, medians, style, marker="o", color=f"C{place}", label=label)


def _by_engine(runs: list[Mapping[str, Any]]) -> dict[str, dict[int, list[Mapping[str, Any]]]]:
    found: dict[str, dict[int, list[Mapping[str, Any]]]] = {}
    for run in runs:
        found.setdefault(run["engine"], {}).setdefault(run["connections"], []).append(run)
    return found


_PLOTS: Final[dict[str, tuple[str, Callable[[Path, Any], None]]]] = {
    "rules": ("rules", _rules),
    "keys": ("keys", _keys),
    "connections": ("http", _connections),
}

"""Closures and cycles of what names what: scopes that imply scopes, roles that inherit roles."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

Graph = Mapping[str, Sequence[str]]
"""Names to the names they point at. Names that are not keys are leaves that nobody declared: they are left out."""


def closures(graph: Graph) -> dict[str, frozenset[str]]:
    """For each name itself and all that it reaches. Cost: names times arrows, at worst."""
    return {name: _reach(graph, name) for name in graph}


def _reach(graph: Graph, start: str) -> frozenset[str]:
    seen = {start}
    todo = [start]
    while todo:
        for target in graph[todo.pop()]:
            if target in graph and target not in seen:
                seen.add(target)
                todo.append(target)
    return frozenset(seen)


def cycles(graph: Graph) -> list[list[str]]:
    """One shortest cycle, `[a, b, a]`, for every knot of names that reach each other; it starts at its first name."""
    reach = closures(graph)
    found: list[list[str]] = []
    done: set[str] = set()
    for name in sorted(graph):
        if name not in done and any(name in reach[target] for target in graph[name] if target in graph):
            done |= {other for other in reach[name] if name in reach[other]}
            found.append(_shortest_cycle(graph, name))
    return found


def _shortest_cycle(graph: Graph, start: str) -> list[str]:
    came_from: dict[str, str] = {}
    todo = deque([start])
    while todo:
        name = todo.popleft()
        for target in sorted(graph[name]):
            if target == start:
                return _way_back(came_from, start, name)
            if target in graph and target not in came_from:
                came_from[target] = name
                todo.append(target)
    raise AssertionError(f"{start} is on no cycle")


def _way_back(came_from: Mapping[str, str], start: str, last: str) -> list[str]:
    way = [start]
    name = last
    while name != start:
        way.append(name)
        name = came_from[name]
    way.append(start)
    return way[::-1]

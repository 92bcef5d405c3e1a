"""Closures and cycles."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from policy_service.language.graphs import closures, cycles

NAMES = "abcdef"
graphs = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES + "z"), max_size=4))


@given(graphs)
def test_a_closure_is_the_least_set_that_holds_what_its_members_name(graph: dict[str, list[str]]) -> None:
    """It holds the name itself, is closed, and grows from the name by arrows alone."""
    for name, closure in closures(graph).items():
        assert name in closure
        assert all(target in closure for member in closure for target in graph[member] if target in graph)
        assert all(member == name or any(member in graph[other] for other in closure) for member in closure)


@given(graphs)
def test_every_cycle_shown_is_one(graph: dict[str, list[str]]) -> None:
    """Each step of it is an arrow, and it ends where it began."""
    for cycle in cycles(graph):
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1 >= 1
        assert all(after in graph[before] for before, after in pairwise(cycle))


@given(graphs)
def test_a_graph_without_shown_cycles_has_none(graph: dict[str, list[str]]) -> None:
    """Taking leaves off again and again leaves something over exactly when a cycle is shown."""
    left = {name: {target for target in targets if target in graph} for name, targets in graph.items()}
    while leaves := [name for name, targets in left.items() if not targets]:
        for leaf in leaves:
            del left[leaf]
        left = {name: targets - set(leaves) for name, targets in left.items()}
    assert bool(left) == bool(cycles(graph))


def test_knots_are_shown_once_each_by_a_shortest_cycle() -> None:
    """Two separate cycles are two findings; names between them are none."""
    graph = {"a": ["b"], "b": ["c", "a"], "c": ["a"], "x": ["x"], "m": ["a", "x"]}
    assert cycles(graph) == [["a", "b", "a"], ["x", "x"]]

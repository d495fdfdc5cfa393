"""The house as ``tests.figures`` measures it."""

import ast

from tests.figures import House, complexity

HOUSE = House()


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    assert HOUSE.not_imperative() == []


def test_complexity_counts_the_ways_through_a_function() -> None:
    tree = ast.parse("def f(a):\n    if a and a.b:\n        return 1\n    return [x for x in a]\n")
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    assert complexity(function) == 4

"""The house as ``tests.figures`` measures it."""

import ast

from tests.figures import House, complexity

HOUSE = House()


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    assert HOUSE.not_imperative() == []


def test_names_of_classes_and_modules_occur_once() -> None:
    assert HOUSE.class_names_used_twice() == {}
    assert HOUSE.file_names_used_twice() == {}


def test_modules_import_each_other_in_no_circle() -> None:
    assert HOUSE.circles() == []


def test_packages_are_imported_by_their_faces() -> None:
    """The command line has none: nobody imports it but the program's beginning."""
    assert HOUSE.imports_past_faces() == ["tau_stage.__main__: tau_stage.cli.main"]
    assert HOUSE.faces_that_hide_modules() == []


def test_no_function_is_longer_than_sixty_lines() -> None:
    assert HOUSE.long_functions() == []


def test_modules_over_700_lines_say_why() -> None:
    long = [module for module in HOUSE.modules.values() if module.text.count("\n") > 700]
    assert [m.name for m in long if "one file because" not in (ast.get_docstring(m.tree) or "")] == []


APART = {
    "tau_stage.audio.formats": "a standard of its own",
}
"""Small modules with one importer, and why each is a file of its own. Verbs of the command line are one file each."""


def test_small_modules_have_more_than_one_importer() -> None:
    small = {name for name in HOUSE.single_importers() if HOUSE.modules[name].text.count("\n") < 80}
    assert {name for name in small if not name.endswith("_command")} == set()


def test_complexity_counts_the_ways_through_a_function() -> None:
    tree = ast.parse("def f(a):\n    if a and a.b:\n        return 1\n    return [x for x in a]\n")
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    assert complexity(function) == 4

import sys
import textwrap
from importlib.metadata import EntryPoint

import pytest

import evonas
from evonas import plugins, references
from evonas.problems.toy import ZDT1, Blocks

SOURCE = """
    import evonas
    from helper_beside import WIDTHS

    class Mine(evonas.Problem):
        metrics = [evonas.Metric("error")]
        objectives = [evonas.Objective("error")]

        def __init__(self, widths=WIDTHS, offset: float = 0.0):
            if offset < 0:
                raise ValueError("offset is negative")
            self.space = evonas.Space(evonas.Integer("width", 1, widths))
            self.offset = offset

        def evaluate(self, genome, metrics):
            return {"error": genome["width"] + self.offset}

    class Incomplete(Mine):
        objectives = []

    not_a_problem = 3
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "helper_beside.py").write_text("WIDTHS = 7\n")
    path = tmp_path / "my_problem.py"
    path.write_text(textwrap.dedent(SOURCE))
    yield path
    sys.modules.pop("helper_beside", None)


def test_a_problem_is_found_by_name_module_and_file(file):
    assert isinstance(references.load_problem("blocks"), Blocks)
    assert isinstance(references.load_problem("evonas.problems.toy:ZDT1"), ZDT1)
    mine = references.load_problem(f"{file}:Mine", {"offset": 1.5})
    assert mine.evaluate({"width": 2}, ["error"]) == {"error": 3.5}
    assert mine.space.size == 7


def test_a_file_is_loaded_once(file):
    assert plugins.problem_class(f"{file}:Mine") is plugins.problem_class(f"{file}:Mine")


@pytest.mark.parametrize(
    ("reference", "options", "message"),
    [
        ("blcoks", {}, "unknown problem 'blcoks'; did you mean 'blocks'"),
        ("no_such_module:Mine", {}, "module 'no_such_module' does not import"),
        ("evonas.problems.toy:Block", {}, "has no class 'Block'; did you mean 'Blocks'"),
        ("evonas.problems.toy:math", {}, "is not a subclass of evonas.Problem"),
        ("missing.py:Mine", {}, "there is no file 'missing.py'"),
        ("{file}", {}, "names a file; add the class"),
        ("{file}:Mien", {}, "has no class 'Mien'; did you mean 'Mine'"),
        ("{file}:not_a_problem", {}, "is not a subclass"),
        ("{file}:Incomplete", {}, "does not set 'objectives'"),
        ("{file}:Mine", {"ofset": 1}, "has no option 'ofset'; did you mean 'offset'"),
        ("{file}:Mine", {"offset": -1}, "cannot be made: ValueError: offset is negative"),
        ("blocks", {"size": 1}, "has no option 'size'; it takes none"),
        ("table", {}, "needs the option 'table'; give it as --set table=VALUE"),
    ],
)
def test_what_cannot_be_found_or_made_is_said_in_a_sentence(file, reference, options, message):
    with pytest.raises(evonas.UsageError, match=message):
        references.load_problem(reference.format(file=file), options)


def test_a_file_that_does_not_load_is_said_with_its_reason(tmp_path):
    path = tmp_path / "broken.py"
    for source, reason in (("import nothing_here", "No module"), ("def", "SyntaxError")):
        path.write_text(source)
        with pytest.raises(evonas.PluginError, match=f"does not load: .*{reason}"):
            references.load_problem(f"{path}:Mine")


def test_a_plugin_that_does_not_load_is_named(monkeypatch):
    group = "evonas.problems"
    points = [
        EntryPoint("good", "evonas.problems.toy:Blocks", group),
        EntryPoint("bad", "no_such_package:Thing", group),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    with pytest.raises(evonas.PluginError, match=r"plug-in 'bad' .* does not load"):
        plugins.load(group, "bad")
    assert plugins.load(group, "good") is Blocks


def test_every_registered_plugin_loads():
    for group in ("evonas.problems", "evonas.surrogates", "evonas.runners"):
        assert plugins.names(group)
        for name in plugins.names(group):
            assert callable(plugins.load(group, name))

"""The writer of results, and the page that is made of them."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks import ledger, marks, results
from benchmarks.__main__ import bench
from evonas.errors import ConfigError, DataError

FOLDER = Path(__file__).parents[2] / "results"


def figure(**more):
    return marks.Figure(text="a figure", **more)


@pytest.mark.parametrize(
    ("more", "mark", "measured", "verdict"),
    [
        ({"value": "ms", "form": "{:.1f} ms", "at_most": 3}, "at most 3 ms", "4.0 ms", "missed"),
        ({"value": "ms", "take": "min", "at_least": 1}, "at least 1", "1", "met"),
        ({"value": "ms", "where": "who == 'a'", "factor": 100}, "", "200", ""),
        ({"rows": "ms > 1", "at_least": 1}, "all", "2 of 3", "missed"),
        ({"sums": ["ms", "all"], "where": "who == 'b'", "at_least": 1}, "all", "5 of 5", "met"),
        ({"value": "ms", "where": "who == 'c'", "at_most": 3}, "at most 3", "nan", ""),
        ({"rows": "ms > 1", "where": "who == 'c'", "at_least": 1}, "all", "0 of 0", ""),
    ],
)
def test_a_figure_is_read_off_a_table(more, mark, measured, verdict):
    table = pd.DataFrame({"who": ["a", "b", "b"], "ms": [2, 1, 4], "all": [3, 1, 4]})
    expected = {"figure": "a figure", "mark": mark, "measured": measured, "verdict": verdict}
    assert figure(**more).read(table) == expected


def test_a_result_is_written_with_what_it_was_measured_with(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmarks", "knob", "--seed", "1", "--out", str(tmp_path)])
    drawn, (axes,) = results.panels(1, columns=3, size=(2.0, 2.0))
    axes.plot([0, 1], label="a line")
    results.legend_below(drawn, columns=2)
    for value in (1 / 3, 2 / 3):
        table = pd.DataFrame({"a": [value]})
        files = results.write(tmp_path, results.Result("one", table, drawn))
    assert [path.name for path in files] == ["one.csv", "one.png"]
    assert files[0].read_text() == "a\n0.666667\n"
    assert files[1].read_bytes().startswith(b"\x89PNG")
    results.write(tmp_path, results.Result("two", table))
    noted = results.read_measured(tmp_path)
    assert list(noted) == ["one", "two"]
    assert set(noted["one"]) == {"command", "commit", "date", "machine"}
    assert noted["one"]["command"] == "python -m benchmarks knob --seed 1"


def test_files_are_named_without_their_folders(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("")
    words = ["prune", "--table", str(path), "--methods", "evonas,plain"]
    assert results.command(words).endswith("prune --table table.csv --methods evonas,plain")


@pytest.mark.parametrize("name", ["a/b", "", "a\\b"])
def test_a_name_must_be_that_of_a_file(name, tmp_path):
    with pytest.raises(ConfigError, match="it must be that of a file"):
        results.prepare(tmp_path, name)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"the folder '.*file/out' cannot be made: Not a dir"):
        results.prepare(tmp_path / "file" / "out", "name")


def test_every_figure_has_a_place_on_the_page():
    found = marks.read_marks()
    placed = [name for names in found.topics.values() for name in names]
    assert sorted(placed) == sorted(found.figures)


def test_the_page_says_what_the_committed_results_say():
    assert (FOLDER / ledger.PAGE).read_text(encoding="utf-8") == ledger.page(FOLDER)


def test_every_committed_result_is_on_the_page_and_every_figure_is_a_number():
    text = ledger.page(FOLDER)
    assert set(marks.read_marks().figures) == {path.stem for path in FOLDER.glob("*.csv")}
    assert "nan" not in text
    assert " of 0" not in text


def test_the_page_is_made_of_what_is_there(tmp_path):
    table = pd.DataFrame({"method": ["EvoNAS"], "share": [0.5], "part": ["tell"]})
    results.write(tmp_path, results.Result("engine_parts", table))
    found = CliRunner().invoke(bench, ["ledger", "--out", str(tmp_path), "--json"])
    assert json.loads(found.stdout) == {"file": str(tmp_path / "README.md")}
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| 50 % | engine_parts |" in text
    assert "[engine_parts](engine_parts.csv) |" in text
    assert "scale" not in text


def test_a_table_that_nobody_knows_the_origin_of_is_named(tmp_path):
    (tmp_path / "odd.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match=r"'odd' in .* has a table or an entry .* needs both"):
        ledger.page(tmp_path)


@pytest.mark.parametrize("command", bench.registered_commands)
def test_every_command_has_an_example_and_prints_json(command):
    name = command.name or command.callback.__name__
    found = CliRunner().invoke(bench, [name, "--help"])
    assert found.exit_code == 0
    assert f"Example: python -m benchmarks {name}" in found.output
    assert "--json" in found.output

import pandas as pd
import pytest

from benchmarks import results
from evonas.errors import ConfigError


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

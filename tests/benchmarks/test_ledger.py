import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks import ledger, marks, results
from benchmarks.__main__ import bench
from evonas import DataError

FOLDER = Path(__file__).parents[2] / "results"


def test_the_page_says_what_the_committed_results_say():
    assert (FOLDER / ledger.PAGE).read_text(encoding="utf-8") == ledger.page(FOLDER)


def test_every_committed_result_is_on_the_page_and_every_figure_is_a_number():
    text = ledger.page(FOLDER)
    assert set(marks.read_marks().figures) == {path.stem for path in FOLDER.glob("*.csv")}
    assert "nan" not in text
    assert " of 0" not in text


def test_the_page_is_made_of_what_is_there(tmp_path):
    table = pd.DataFrame({"knob": [1.0], "architecture": "largest", "validation_accuracy": 99.0})
    results.write(tmp_path, results.Result("knob", table))
    found = CliRunner().invoke(bench, ["ledger", "--out", str(tmp_path), "--json"])
    assert json.loads(found.stdout) == {"file": str(tmp_path / "README.md")}
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| at least 98.5 % | 99.00 %: met | knob |" in text
    assert "| [knob](knob.csv) |" in text
    assert "scale" not in text


def test_a_table_that_nobody_knows_the_origin_of_is_named(tmp_path):
    (tmp_path / "odd.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match=r"'odd' in .* has a table or an entry .* needs both"):
        ledger.page(tmp_path)

"""What a run says of itself, and what it writes."""

import pytest

import evonas
from evonas.problems.toy import Blocks
from tests.evonas.searches import SERIAL, Mixed


def test_a_run_in_memory_has_a_front_and_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = evonas.search(Blocks(), evaluations=50, **SERIAL)
    assert len(run.front) > 3
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(evonas.UsageError, match="in memory"):
        run.export(["csv"])


def test_unknown_formats_and_models_that_are_not_there_are_refused(exported):
    with pytest.raises(evonas.UsageError, match="unknown format 'cvs'; did you mean 'csv'"):
        exported.export(["cvs"])
    with pytest.raises(evonas.UsageError, match="'Mixed' has no models to export"):
        exported.export(["onnx"], problem=Mixed())

"""What is removed from a directory, and what stays."""

import pytest

import evonas
from evonas.problems.toy import Blocks
from tests.evonas.searches import SERIAL, Power, record


def test_what_was_there_before_a_first_run_is_not_removed(tmp_path):
    (tmp_path / "models").mkdir()
    mine = [tmp_path / "models" / "weights.pt", tmp_path / "config.yaml", tmp_path / "front.csv"]
    for path in mine:
        path.write_text("mine")
    evonas.search(Blocks(), evaluations=5, out=tmp_path, **SERIAL)
    assert [path.read_text() for path in mine] == ["mine"] * 3


def test_a_run_stays_until_all_else_is_done_to_replace_it(tmp_path, monkeypatch):
    directory = tmp_path / "run"
    evonas.search(Blocks(), evaluations=20, out=directory, **SERIAL).export(["csv"])
    (directory / "models").mkdir()
    before = record(directory)

    def stop(*_):
        raise Power

    for place in ("evonas.run.journal._fill", "evonas.run.layout.shutil.rmtree"):
        with monkeypatch.context() as patch:
            patch.setattr(place, stop)
            with pytest.raises(Power):
                evonas.search(Blocks(), evaluations=9, out=directory, overwrite=True, **SERIAL)
        assert record(directory) == before
    run = evonas.search(Blocks(), evaluations=9, out=directory, overwrite=True, **SERIAL)
    assert run.status()["evaluated"] == 9
    assert not (directory / "models").exists()

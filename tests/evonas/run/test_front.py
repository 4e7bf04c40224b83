"""The front as a table and as files."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

import evonas
from evonas import Choice, Constraint, Metric, Objective, Space
from evonas.records import Candidate, Evaluation, Status
from evonas.run.front import Front
from tests.evonas.searches import SERIAL, Mixed


def test_the_front_is_not_dominated_and_feasible(exported):
    frame = exported.front.to_frame()
    assert (frame["size"] <= 11).all()
    assert frame["accuracy"].is_monotonic_decreasing
    assert frame["latency"].is_monotonic_decreasing


def test_the_table_has_genes_metrics_and_units(exported):
    frame = exported.front.to_frame()
    assert list(frame.columns) == [
        "id", "accuracy", "latency", "size", "layers", "kernel", "activation", "width",
    ]  # fmt: skip
    assert frame.attrs["units"] == {"size": "kB", "latency": "ms", "accuracy": "%"}
    inactive = frame["layers"] < 3
    assert frame.loc[inactive, "activation"].isna().all()
    assert frame.loc[~inactive, "activation"].notna().all()


def test_every_file_holds_the_same_front(exported):
    frame = exported.front.to_frame()
    csv = pd.read_csv(exported.directory / "front.csv")
    assert csv.pop("units").unique().tolist() == ["size: kB; latency: ms; accuracy: %"]
    parquet = pd.read_parquet(exported.directory / "front.parquet")
    for other in (csv, parquet):
        pd.testing.assert_frame_equal(other, frame, check_dtype=False)
    assert Front.read(exported.directory / "front.json").to_json() == exported.front.to_json()


def test_parquet_carries_the_units(exported):
    schema = pq.read_schema(exported.directory / "front.parquet")
    assert schema.field("latency").metadata == {b"unit": b"ms"}


def test_the_same_front_gives_the_same_bytes(exported, tmp_path):
    names = ["csv", "json", "parquet"]
    exported.front.write(tmp_path, names)
    for name in names:
        file = f"front.{name}"
        assert (tmp_path / file).read_bytes() == (exported.directory / file).read_bytes()


def test_an_empty_front_is_exported(tmp_path):
    class Nothing(Mixed):
        constraints = (Constraint("size", upper=0.001),)

    run = evonas.search(Nothing(), evaluations=20, out=tmp_path / "run", **SERIAL)
    run.export(["csv", "json", "parquet", "png"])
    assert len(pd.read_csv(tmp_path / "run" / "front.csv")) == 0


def test_equal_designs_stay_on_the_front_together():
    description = Mixed().describe()
    evaluations = [
        Evaluation(Candidate(i, {"layers": i + 1}, 0), Status.OK, {"accuracy": 90, "latency": 1})
        for i in range(3)
    ]
    assert [d.id for d in Front.from_evaluations(description, evaluations).designs] == [0, 1, 2]


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"description": {}, "designs": [{}]}'])
def test_what_is_no_front_is_refused(tmp_path, content):
    path = tmp_path / "front.json"
    path.write_text(content)
    with pytest.raises(evonas.RunError, match=r"is not a front\.json"):
        Front.read(path)


def test_options_of_several_kinds_are_written_as_text(tmp_path):
    class Heads(evonas.Problem):
        space = Space(Choice("heads", [1, 2, "auto"]), Choice("scale", [1, 2.5]))
        metrics = (Metric("cost"),)
        objectives = (Objective("cost"),)

        def evaluate(self, genome, metrics):
            return {"cost": 1.0}

    run = evonas.search(Heads(), evaluations=6, out=tmp_path / "run", **SERIAL)
    run.export(["csv", "json", "parquet"])
    frame = pd.read_parquet(tmp_path / "run" / "front.parquet")
    assert set(frame["heads"]) == {"1", "2", "auto"}
    assert set(frame["scale"]) == {1.0, 2.5}

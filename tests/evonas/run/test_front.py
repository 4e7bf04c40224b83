import errno
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from PIL import Image

import evonas
from evonas import Choice, Constraint, Integer, Metric, Objective, Real, Space
from evonas.records import Candidate, Evaluation, Status
from evonas.run.front import Front

QUIET = {"report": lambda line: None}
SERIAL = {"surrogate": False, "runner": "serial", **QUIET}


class Mixed(evonas.Problem):
    """Every kind of gene, a condition, a maximised objective, a constraint, a plain metric."""

    space = Space(
        Integer("layers", 1, 4),
        Choice("kernel", [3, 5]),
        Choice("activation", ["relu", "tanh"], when={"layers": [3, 4]}),
        Real("width", 0.25, 1.0),
    )
    metrics = (Metric("size", "kB"), Metric("latency", "ms"), Metric("accuracy", "%"))
    objectives = (Objective("accuracy", "maximise"), Objective("latency"))
    constraints = (Constraint("size", upper=11.0),)
    notes = ("latency is made up",)

    def evaluate(self, genome, metrics):
        cost = genome["layers"] * genome["kernel"] * genome["width"]
        bonus = genome.get("activation") == "tanh"
        return {"size": cost, "latency": cost * (1.2 if bonus else 1), "accuracy": 99 - 50 / cost}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("front") / "run"
    run = evonas.search(Mixed(), evaluations=150, seed=1, out=out, **SERIAL)
    run.export(["csv", "json", "parquet", "png"])
    return run


def test_the_front_is_not_dominated_and_feasible(run):
    frame = run.front.to_frame()
    assert (frame["size"] <= 11).all()
    assert frame["accuracy"].is_monotonic_decreasing
    assert frame["latency"].is_monotonic_decreasing


def test_the_table_has_genes_metrics_and_units(run):
    frame = run.front.to_frame()
    assert list(frame.columns) == [
        "id", "accuracy", "latency", "size", "layers", "kernel", "activation", "width",
    ]  # fmt: skip
    assert frame.attrs["units"] == {"size": "kB", "latency": "ms", "accuracy": "%"}
    inactive = frame["layers"] < 3
    assert frame.loc[inactive, "activation"].isna().all()
    assert frame.loc[~inactive, "activation"].notna().all()


def test_every_file_holds_the_same_front(run):
    frame = run.front.to_frame()
    csv = pd.read_csv(run.directory / "front.csv")
    assert csv.pop("units").unique().tolist() == ["size: kB; latency: ms; accuracy: %"]
    parquet = pd.read_parquet(run.directory / "front.parquet")
    for other in (csv, parquet):
        pd.testing.assert_frame_equal(other, frame, check_dtype=False)
    assert Front.read(run.directory / "front.json").to_json() == run.front.to_json()


def test_parquet_carries_the_units(run):
    schema = pq.read_schema(run.directory / "front.parquet")
    assert schema.field("latency").metadata == {b"unit": b"ms"}


def test_the_same_front_gives_the_same_bytes(run, tmp_path):
    names = ["csv", "json", "parquet"]
    run.front.write(tmp_path, names)
    for name in names:
        file = f"front.{name}"
        assert (tmp_path / file).read_bytes() == (run.directory / file).read_bytes()


def test_the_picture_is_a_picture(run):
    with Image.open(run.directory / "front.png") as picture:
        assert min(picture.size) > 500
        colours = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(colours) > 20


def test_one_and_three_objectives_are_drawn_too(tmp_path):
    class Three(Mixed):
        objectives = (*Mixed.objectives, Objective("size"))

    class One(Mixed):
        objectives = (Objective("latency"),)

    for problem in (Three(), One()):
        out = tmp_path / type(problem).__name__
        run = evonas.search(problem, evaluations=60, out=out, **SERIAL)
        run.export(["png"])
        assert (out / "front.png").stat().st_size > 10_000


def test_only_what_is_minimised_is_drawn_on_a_logarithmic_axis(tmp_path, monkeypatch):
    class Wide(Mixed):
        def evaluate(self, genome, metrics):
            value = 100 ** genome["width"]
            return {"size": 1.0, "latency": value, "accuracy": value}

    scales = []
    save = Figure.savefig

    def keep(figure, *arguments, **options):
        scales.extend((axes.get_xscale(), axes.get_yscale()) for axes in figure.axes)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    run = evonas.search(Wide(), evaluations=60, out=tmp_path / "run", **SERIAL)
    assert np.ptp(run.front.to_frame()["accuracy"]) > 20
    run.export(["png"])
    assert scales == [("linear", "log")]


def test_colours_span_the_gene_not_what_is_on_the_front(tmp_path, monkeypatch):
    class Narrow(Mixed):
        highlight = "layers"
        objectives = (Objective("accuracy", "maximise"),)

    limits, titles = [], []

    def keep(figure, *arguments, **options):
        limits.extend(drawn.get_clim() for drawn in figure.axes[0].collections)
        titles.append(figure.get_suptitle())
        figure.canvas.print_png(arguments[0])

    run = evonas.search(Narrow(), evaluations=20, out=tmp_path / "run", **SERIAL)
    monkeypatch.setattr(Figure, "savefig", keep)
    run.export(["png"])
    assert len(run.front) == 1
    assert limits[-1] == (1, 4)
    assert titles[0].startswith("Narrow: 1 design on the front")


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


def test_unknown_formats_and_models_that_are_not_there_are_refused(run):
    with pytest.raises(evonas.UsageError, match="unknown format 'cvs'; did you mean 'csv'"):
        run.export(["cvs"])
    with pytest.raises(evonas.UsageError, match="'Mixed' has no models to export"):
        run.export(["onnx"], problem=Mixed())


class Deploying(Mixed):
    """Writes a file a design; some fail."""

    broken: frozenset = frozenset()
    error: Exception = evonas.WorkError("the scores differ by 0.3")

    def export(self, genome, directory):
        (directory / "model.txt").write_text(json.dumps(genome))
        if json.dumps(genome) in self.broken:
            raise self.error


def test_models_are_written_for_the_front_and_old_ones_removed(tmp_path):
    problem = Deploying()
    run = evonas.search(problem, evaluations=80, out=tmp_path / "run", **SERIAL)
    models = tmp_path / "run" / "models"
    (models / "9999").mkdir(parents=True)
    run.export(["onnx"], problem=problem, **QUIET)
    designs = {str(d.id): dict(d.genes) for d in run.front.designs}
    assert {path.name for path in models.iterdir()} == set(designs)
    for name, genes in designs.items():
        assert json.loads((models / name / "model.txt").read_text()) == genes


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (evonas.WorkError("the scores differ by 0.3"), "the scores differ by 0.3"),
        (KeyError("depth"), "KeyError: 'depth'"),
        (FileNotFoundError(2, "no such file"), r"FileNotFoundError: \[Errno 2\] no such file"),
    ],
)
def test_a_model_that_is_not_right_is_an_error_and_the_others_are_kept(error, said, tmp_path):
    problem = Deploying()
    problem.error = error
    run = evonas.search(problem, evaluations=80, out=tmp_path / "run", **SERIAL)
    bad, *good = run.front.designs
    problem.broken = frozenset([json.dumps(bad.genes)])
    with pytest.raises(evonas.WorkError, match=f"design {bad.id}: {said}"):
        run.export(["onnx"], problem=problem, **QUIET)
    left = {path.name for path in (tmp_path / "run" / "models").iterdir()}
    assert left == {str(design.id) for design in good}


def test_a_full_disk_ends_the_export(tmp_path):
    problem = Deploying()
    run = evonas.search(problem, evaluations=80, out=tmp_path / "run", **SERIAL)
    problem.broken = frozenset(json.dumps(design.genes) for design in run.front.designs)
    problem.error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        run.export(["onnx"], problem=problem, **QUIET)


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

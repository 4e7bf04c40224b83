"""Figures of a front."""

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import evonas
from evonas import Objective
from tests.evonas.searches import SERIAL, Mixed


def test_the_picture_is_a_picture(exported):
    with Image.open(exported.directory / "front.png") as picture:
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

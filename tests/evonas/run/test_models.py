"""Model files of a front."""

import errno
import json

import pytest

import evonas
from tests.evonas.searches import QUIET, SERIAL, Mixed


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

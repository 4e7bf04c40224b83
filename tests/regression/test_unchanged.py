"""Searches and a device's profile that later code must not change.

``python tests/regression/test_unchanged.py NAME...`` records what this code gives in ``recorded/``,
beside the processor that it ran on: sums of floating-point numbers may end in another digit
elsewhere, and models that are fitted to them then choose other designs.
"""

import contextlib
import hashlib
import io
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper
from threadpoolctl import threadpool_info

import evonas
from evonas import Choice, Integer, Metric, Objective, Problem, Space
from evonas.problems.nasbench201 import EDGES, NASBench201
from evonas.problems.once_for_all import OnceForAll
from evonas.problems.split_cnn import problem as split_cnn
from evonas.problems.split_cnn.evaluator import Evaluator
from evonas.problems.split_cnn.problem import SplitCNN
from evonas.problems.split_cnn.supernet import Supernet
from evonas.problems.table import TableProblem
from evonas.problems.toy import BinhKorn, Blocks
from evonas.runners.kit import fit as profiles
from evonas.runners.kit import make as kits
from evonas.runners.kit.formats import Kit, Measured, Result
from evonas.space import genome_key

RECORDED = Path(__file__).with_name("recorded")
DATA = Path(__file__).parents[3] / "shared" / "data"


def processor():
    """What decides how sums are rounded."""
    kernels = sorted({str(p.get("architecture")) for p in threadpool_info() if "architecture" in p})
    return f"{platform.machine()} {' '.join(kernels)}"


def times(evaluator, pair):
    """Stand for measured times of head and tail, in ms; they follow from the layers alone."""
    macs, cut = pair.split.subnet.macs, pair.split.cut
    head, tail = sum(macs[:cut]) / 4e6, sum(macs[cut:]) / 4e6
    return (head + 0.02 * cut, 0.0 if pair.split.on_device else tail + 0.01)


@contextlib.contextmanager
def digits(**options):
    """The problem ``digits`` with weights that nobody trained, and times that nobody measured."""

    def random_weights(config, dataset, settings, report, device):
        return Supernet(config, torch.Generator().manual_seed(settings.seed)).arrays()

    with (
        mock.patch.object(split_cnn, "load_or_train", random_weights),
        mock.patch.object(split_cnn, "reference_ms", return_value=0.1),
        mock.patch.object(Evaluator, "times", times),
    ):
        yield SplitCNN(validation_images=100, **options)


@contextlib.contextmanager
def part_of_a_table(rows=600, **options):
    """Part of the cells of NAS-Bench-201, with genes and nothing else."""
    table = pd.read_parquet(DATA / "nasbench201.parquet").sample(rows, random_state=0)
    columns = [*EDGES, "cifar10", "latency_ms.raspi4"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.csv"
        table[columns].to_csv(path, index=False)
        yield TableProblem(
            str(path),
            genes=EDGES,
            maximise=["cifar10"],
            minimise=["latency_ms.raspi4"],
            **options,
        )


def cells(**options):
    return contextlib.nullcontext(NASBench201(str(DATA / "nasbench201.parquet"), **options))


def once_for_all(device):
    table = str(DATA / "ofa_latency.parquet")
    return contextlib.nullcontext(OnceForAll(table, minimise=[f"latency_ms.{d}" for d in device]))


SEARCHES = {
    "digits": (lambda: digits(), {"evaluations": 60, "population": 20}),
    "digits_bounded": (
        lambda: digits(
            device="raspberry-pi",
            link="wifi",
            objectives="error,latency_ms,device_energy_mj",
            max_head_memory_bytes=60000,
        ),
        {"evaluations": 60, "population": 20, "seed": 1},
    ),
    "nasbench201": (
        lambda: cells(maximise="cifar10", minimise="latency_ms.eyeriss"),
        {"evaluations": 60, "surrogate": "default"},
    ),
    "nasbench201_energy": (
        lambda: cells(maximise="cifar100", minimise="energy_mj.pi5_litert,latency_ms.pixel3"),
        {"evaluations": 45, "surrogate": "default", "seed": 2},
    ),
    "nasbench201_plain": (
        lambda: cells(maximise="cifar100", minimise="latency_ms.pixel3"),
        {"evaluations": 200, "seed": 3},
    ),
    "table": (lambda: part_of_a_table(), {"evaluations": 60, "surrogate": "default"}),
    "once_for_all": (
        lambda: once_for_all(["2080ti_1", "v100_64"]),
        {"evaluations": 35, "surrogate": "default"},
    ),
    "binh_korn": (lambda: contextlib.nullcontext(BinhKorn()), {"evaluations": 300, "seed": 1}),
    "binh_korn_surrogate": (
        lambda: contextlib.nullcontext(BinhKorn()),
        {"evaluations": 60, "surrogate": "default"},
    ),
    "blocks": (lambda: contextlib.nullcontext(Blocks()), {"evaluations": 300, "seed": 2}),
    "blocks_surrogate": (
        lambda: contextlib.nullcontext(Blocks()),
        {"evaluations": 60, "surrogate": "default"},
    ),
}


def search(name):
    """Search; give what was evaluated, in order, and the front as its CSV file has it."""
    make, settings = SEARCHES[name]
    with make() as problem, tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        settings = {
            "runner": "serial",
            "asynchronous": False,
            "seed": 0,
            "surrogate": None,
            **settings,
        }
        run = evonas.search(problem, out=out, report=lambda line: None, **settings)
        run.export(["csv"])
        evaluated = [
            f"{e.candidate.id} {e.status.value} {genome_key(e.candidate.genome)}"
            for e in run._journal.evaluations()
        ]
        front = (out / "front.csv").read_text().splitlines()
    return {"evaluated": evaluated, "front": front}


class Stack(Problem):
    """Matrix products: some on the device, the others on the server."""

    space = Space(Integer("head", 1, 8), Integer("tail", 0, 6), Choice("size", [16, 48, 80]))
    metrics = (Metric("head_ms", "ms"), Metric("tail_ms", "ms"))
    objectives = (Objective("head_ms"), Objective("tail_ms"))
    timed_models = {"head": "head_ms", "tail": "tail_ms"}  # noqa: RUF012

    def evaluate(self, genome, metrics):
        one = (genome["size"] / 48) ** 2
        return {f"{kind}_ms": one * genome[kind] for kind in ("head", "tail")}

    def export(self, genome, directory):
        for kind in ("head", "tail"):
            value = [
                helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 2]) for n in "xy"
            ]
            node = helper.make_node("Identity", ["x"], ["y"])
            graph = helper.make_graph([node], kind, value[:1], value[1:])
            onnx.save(helper.make_model(graph), Path(directory) / f"{kind}.onnx")


def fixed_result(folder):
    """A kit of :class:`Stack`, and what a made-up device took for it."""
    problem = Stack()
    content = kits.make(
        problem, "stack.py:Stack", {}, folder, probes=8, proxy_designs=60, report=lambda line: None
    )
    for volatile in (content, *content["models"]):
        # What depends on the machine, or on the version of a library that writes models.
        volatile.pop("sha256", None)
    kit = Kit.model_validate(
        {
            **content,
            "kit": "fixed",
            "made_on": "a processor",
            "models": [{**model, "sha256": "0"} for model in content["models"]],
        }
    )
    measured = [
        Measured(
            name=model.name,
            kind=model.kind,
            design=model.design,
            ms=3.1 * kit.proxy_ms[model.kind][model.design] ** 0.9 + 0.4 + 0.01 * number,
            spread=0.02,
            bursts=20,
            energy_mj=2.0 + kit.proxy_ms[model.kind][model.design],
        )
        for number, model in enumerate(kit.models)
    ]
    return kit, Result(
        format=1,
        kit=kit.kit,
        complete=True,
        threads=1,
        host={"processor": "made up"},
        reference_ms=1.0,
        models=measured,
        made_from=kit,
    )


def profile():
    """The profile that a fixed kit's result gives, and what it predicts."""
    with tempfile.TemporaryDirectory() as folder:
        kit, result = fixed_result(Path(folder) / "kit")
    fitted = profiles.fit("board", [result])
    predicted = {}
    for kind in fitted.kinds:
        rows = kit.rows(kind.removesuffix(" energy"))[:20]
        found = fitted.predictor(kind).predict(kit.views_of(rows))
        predicted[kind] = [found.mean.tolist(), found.lower.tolist(), found.upper.tolist()]
    arrays = {
        name: hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        for name, array in sorted(fitted.arrays.items())
    }
    content = json.loads(json.dumps(fitted.model_dump()))
    return {"content": content, "arrays": arrays, "predicted": predicted}


NAMES = [*SEARCHES, "profile"]


def find(name):
    return profile() if name == "profile" else search(name)


def columns(front, of):
    """Leave out columns that another front does not have.

    Times of this machine (``head_ms``, ``tail_ms``) and the head's energy became metrics when the
    device's times began to be derived from them; fronts of ``digits`` have them beside the others.
    """
    table = pd.read_csv(io.StringIO("\n".join(front)), dtype=str, keep_default_na=False)
    names = of[0].split(",")
    return table[names].assign(units=of[1].rpartition(",")[2]).to_csv(index=False).splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_what_was_recorded_has_not_changed(name):
    recorded = json.loads((RECORDED / f"{name}.json").read_text())
    if not DATA.exists() and name.startswith(("nasbench201", "table", "once_for_all")):
        pytest.skip(f"{DATA} is not there")
    fitted = name == "profile" or SEARCHES[name][1].get("surrogate")
    if fitted and recorded.pop("processor") != processor():
        pytest.skip("it was recorded on another processor")
    recorded.pop("processor", None)
    found = find(name)
    if name.startswith("digits"):
        found["front"] = columns(found["front"], of=recorded["front"])
    assert found == recorded


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    RECORDED.mkdir(exist_ok=True)
    for name in sys.argv[1:] or NAMES:
        content = {"processor": processor(), **find(name)}
        (RECORDED / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
        print(name)

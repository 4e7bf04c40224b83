"""A small problem, its kits, and what a made-up device takes for them."""

import copy
import json

from evonas.runners.cli.main import main
from evonas.runners.kit.formats import identify

PROBLEM = """
    import onnx
    from onnx import TensorProto, helper

    from pathlib import Path

    from evonas import (Choice, InfeasibleError, Integer, Metric, Objective, Problem, Space)


    class Stack(Problem):
        '''Matrix products: some on the device, the others on the server.'''

        space = Space(Integer("head", 1, 8), Integer("tail", 0, 6), Choice("size", [16, 48, 80]))
        metrics = [Metric("head_ms", "ms"), Metric("tail_ms", "ms"), Metric("error")]
        objectives = [Objective("head_ms"), Objective("tail_ms"), Objective("error")]
        timed_models = {"head": "head_ms", "tail": "tail_ms"}

        def __init__(self, scale: float = 1.0):
            self.scale = scale

        def evaluate(self, genome, metrics):
            if genome["head"] == 8 and genome["tail"] == 6:
                raise InfeasibleError("too deep")
            one = self.scale * (genome["size"] / 48) ** 2
            error = 20 - genome["head"] - genome["tail"] - genome["size"] / 16
            times = {kind: one * genome[kind] for kind in ("head", "tail")}
            return {"head_ms": times["head"], "tail_ms": times["tail"], "error": error}

        def export(self, genome, directory):
            for kind in ("head", "tail"):
                count, size = genome[kind], genome["size"]
                nodes = [
                    helper.make_node("MatMul", [f"x{i}", "x0"], [f"x{i + 1}"])
                    for i in range(count)
                ]
                values = [
                    helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", size, size])
                    for n in ("x0", f"x{count}")
                ]
                graph = helper.make_graph(nodes, kind, values[:1], values[1:])
                opset = [helper.make_opsetid("", 18)]
                model = helper.make_model(graph, opset_imports=opset, ir_version=8)
                onnx.save(model, directory / f"{kind}.onnx")


    class Viewed(Stack):
        def views(self, genomes):
            return {
                kind: [[genome["size"] ** 2 / 1000, genome[kind]] for genome in genomes]
                for kind in ("head", "tail")
            }


    class Listed(Stack):
        designs = [
            {"head": head, "tail": 14 - 2 * head, "size": size}
            for head in range(4, 8) for size in (16, 48, 80)
        ]


    class NoModels(Stack):
        timed_models = {}


    class InSeconds(Stack):
        metrics = [Metric("head_ms", "s"), Metric("tail_ms", "s"), Metric("error")]


    class Forgetful(Stack):
        def export(self, genome, directory):
            pass


    class Named(Stack):
        def __init__(self, device="cpu"):
            super().__init__()


    class Failing(Stack):
        def export(self, genome, directory):
            raise ValueError("no such layer")


    class Ragged(Stack):
        def views(self, genomes):
            return {"work": [[genome["size"]] for genome in genomes[:5]]}


    class Shaky(Stack):
        def evaluate(self, genome, metrics):
            if str(genome["size"]) in Path(__file__).with_name("broken").read_text().split():
                raise MemoryError("too small")
            return super().evaluate(genome, metrics)


    class Other(Stack):
        space = Space(Integer("head", 1, 9), Integer("tail", 0, 6), Choice("size", [16, 48, 80]))
"""


def probe(folder, name="Stack", out="kit", *options):
    problem = f"{folder / 'stack.py'}:{name}"
    return [
        "device",
        "probe",
        problem,
        "--out",
        str(folder / out),
        "--designs",
        "8",
        "--proxy-designs",
        "60",
        *options,
    ]


def measured(folder, slower=lambda design, kind, ms: 3 * ms, kit="kit"):
    """A result as measure.py writes it, on a device that is so much slower."""
    content = json.loads((folder / kit / "kit.json").read_text())
    models = []
    for model in content["models"]:
        ms = content["proxy_ms"][model["kind"]][model["design"]]
        ms = slower(content["designs"][model["design"]], model["kind"], ms)
        named = {key: model[key] for key in ("name", "kind", "design")}
        models.append({**named, "ms": ms, "spread": 0.02, "bursts": 20})
    return {
        "format": 1,
        "kit": content["kit"],
        "complete": True,
        "threads": 1,
        "host": {"processor": "abacus"},
        "reference_ms": 1.0,
        "models": models,
        "made_from": content,
    }


def search(made, out, *options):
    command = ["search", f"{made / 'stack.py'}:Stack", "--runner", "serial", "--population", "10"]
    return main([*command, "--out", str(out), *options])


def metered(result, watts=5.0, kinds=("head", "tail")):
    for model in result["models"]:
        if model["kind"] in kinds:
            model["energy_mj"] = watts * model["ms"]
    return result


def changed(change):
    def damage(result):
        result = copy.deepcopy(result)
        change(result)
        return result

    return damage


def named(result, problem):
    """A result of a kit whose problem was named so on the command line."""
    kit = result["made_from"]
    kit["problem"] = problem
    result["kit"] = kit["kit"] = identify(kit)
    return result

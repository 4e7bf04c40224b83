"""The recipes parse, agree with Ray's schema, and hold command lines that run as far as here."""

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import jsonschema
import pytest
import ray.autoscaler
import typer
import yaml
from ray.scripts.scripts import cli as ray_cli

from evonas import Run
from evonas.runners.cli.main import app

FOLDER = Path(__file__).parents[3] / "runners" / "cluster"
RAY_UP = ["own_machines.yaml", "aws.yaml"]
RECIPES = [*RAY_UP, "kuberay.yaml", "slurm.sh"]


def load(name):
    return yaml.safe_load((FOLDER / name).read_text())


def how_to(name):
    comments = re.findall(r"^# {1,2}( ?\d+\. .*)$", (FOLDER / name).read_text(), re.MULTILINE)
    return [comment.strip() for comment in comments]


def parse(command, words):
    """Parse a command line as far as it goes without carrying it out."""
    context = command.make_context(command.name or "", list(words), resilient_parsing=False)
    if rest := getattr(context, "_protected_args", []) + context.args:
        name, below, rest = command.resolve_command(context, rest)
        below.make_context(name, rest, parent=context, resilient_parsing=False)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_tells_how_to_in_ten_lines(name):
    assert [line.split(".")[0] for line in how_to(name)] == [str(n) for n in range(1, 11)]
    assert f"`{name}`" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("name", RAY_UP)
def test_ray_up_files_agree_with_the_schema_that_ray_brings(name):
    schema = json.loads((Path(ray.autoscaler.__path__[0]) / "ray-schema.json").read_text())
    jsonschema.validate(load(name), schema)


def test_the_cloud_file_scales_between_its_bounds():
    config = load("aws.yaml")
    types = config["available_node_types"]
    assert config["head_node_type"] in types
    worker = types["worker"]
    assert worker["min_workers"] <= worker["max_workers"] <= config["max_workers"]


@pytest.mark.parametrize("name", RAY_UP)
def test_every_start_of_ray_is_one_that_ray_understands(name):
    config = load(name)
    for command in config["head_start_ray_commands"] + config["worker_start_ray_commands"]:
        words = [word for word in shlex.split(command) if "RAY_AUTH_MODE" not in word]
        assert words[0] == "ray"
        parse(ray_cli, words[1:])


@pytest.mark.parametrize("name", RECIPES)
def test_every_call_of_evonas_is_one_that_it_understands(name):
    text = (FOLDER / name).read_text()
    calls = re.findall(r"(?:'|exec |bin/)evonas ([^'|&\n]+)", text)
    assert calls or name == "slurm.sh"
    for call in calls:
        words = [word for word in shlex.split(call.strip()) if word != "||"]
        parse(typer.main.get_command(app), words)


def test_the_kubernetes_job_holds_together():
    job = load("kuberay.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]["rayClusterSpec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    images = set()
    for group in groups:
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            images.add(container["image"])
            assert container["resources"]["requests"] == container["resources"]["limits"]
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert set(mounts) <= volumes
            assert mounts["shm"] == "/dev/shm"
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert len(images) == 1
    for group in spec["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    subprocess.run(["sh", "-n", "-c", shlex.split(job["spec"]["entrypoint"])[2]], check=True)


PROBLEM = """
    import time
    from evonas import Integer, Metric, Objective, Problem, Space

    class Mine(Problem):
        space = Space(Integer("n", 0, 5000))
        metrics = [Metric("low"), Metric("high")]
        objectives = [Objective("low"), Objective("high", "maximise")]

        def evaluate(self, genome, metrics):
            time.sleep(0.02)
            return {"low": genome["n"], "high": genome["n"]}
"""


@pytest.mark.slow
def test_the_slurm_script_searches_and_goes_on_where_srun_is_this_machine(tmp_path):
    (tmp_path / "mine.py").write_text(textwrap.dedent(PROBLEM))
    commands = tmp_path / "bin"
    commands.mkdir()
    here = Path(sys.executable).parent
    scripts = {
        "srun": '#!/bin/sh\nshift\nexport SLURM_NODEID=0\nexec "$@"\n',
        "python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        "ray": f'#!/bin/sh\nexec {here}/ray "$@"\n',
        "evonas": f'#!/bin/sh\nexec {sys.executable} -m evonas "$@"\n',
    }
    for name, text in scripts.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    settings = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_CPUS_PER_TASK": "2"}
    environment = os.environ | settings | {"EVONAS_BIN": str(commands)}
    run = tmp_path / "run"
    search = [run, "mine.py:Mine", "--evaluations", "30", "--population", "6"]
    for _ in range(2):  # the second time it goes on, and has nothing left to do
        subprocess.run(
            ["bash", FOLDER / "slurm.sh", *search],
            cwd=tmp_path, env=environment, check=True, timeout=200, capture_output=True,
        )  # fmt: skip
        assert Run.open(run).status()["evaluated"] == 30

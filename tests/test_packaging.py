"""What is built and installed: plain files, one import package, and extras that are named.

Wheel and sdist are built here; environments hold the installed wheel and links to those of the
present packages that its metadata asks for, so that nothing is downloaded and nothing else is seen.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import evonas

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
ROOMS = ("problems", "runners", "surrogates")
IGNORED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "results")

MINE = """
import sys
import evonas
{imports}

class Mine(evonas.Problem):
    space = evonas.Space(evonas.Integer("n", 1, 1000))
    metrics = [evonas.Metric("low"), evonas.Metric("high")]
    objectives = [evonas.Objective("low"), evonas.Objective("high", "maximise")]

    def evaluate(self, genome, metrics):
        return {{"low": genome["n"], "high": {value}}}

if __name__ == "__main__":
    run = evonas.search(Mine(), evaluations=25, runner=sys.argv[1], workers=1, report=len)
    status = run.status()
    print(evonas.__file__, status["evaluated"] - status["failed"])
"""


EXPORTING = (
    MINE
    + """
def export(self, genome, directory):
    import onnx

Mine.export = export
"""
)


def call(*command, directory, code=0):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        list(map(str, command)), cwd=directory, env=environment, capture_output=True, text=True
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


def build(kind, source, target):
    """Build a wheel or an sdist by the build backend, and return its path."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    call(sys.executable, "-c", code, target, directory=source)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    source = tmp_path_factory.mktemp("source") / "checkout"
    shutil.copytree(ROOT, source, symlinks=True, ignore=IGNORED)
    return build("sdist", source, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel that is built from the sdist."""
    source = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(source, filter="data")
    (folder,) = source.iterdir()
    return build("wheel", folder, tmp_path_factory.mktemp("wheel"))


def needed(names, extras):
    """Names of the distributions that some distributions need, themselves included."""
    found, ahead = set(), [(name, extras) for name in names]
    while ahead:
        name, wanted = ahead.pop()
        if (name, wanted) in found:
            continue
        found.add((name, wanted))
        for text in distribution(name).requires or ():
            requirement = Requirement(text)
            chosen = requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in wanted or ("",)
            )
            if chosen:
                ahead.append((requirement.name, tuple(sorted(requirement.extras))))
    return {name for name, _ in found}


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """Makes an environment with the wheel and what the named extras need, and nothing else."""

    def make(*extras):
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, symlinks=True)
        python = folder / "bin" / "python"
        call(
            sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps",
            "--no-index", wheel, directory=folder,
        )  # fmt: skip
        site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
        for name in needed(["evonas"], extras) - {"evonas"}:
            for top in {file.parts[0] for file in distribution(name).files}:
                present = Path(distribution(name).locate_file(top))
                if top not in ("..", "__pycache__") and not (site / top).exists():
                    (site / top).symlink_to(present)
        return folder

    return make


@pytest.fixture(scope="module")
def core(environment):
    return environment()


@pytest.fixture(scope="module")
def with_ray(environment):
    return environment("ray")


def modules(folder):
    return {f"evonas/{path.relative_to(ROOT)}" for path in (ROOT / folder).rglob("*.py")}


def expected():
    """The files of ours that a wheel holds, as a checkout has them."""
    kernel = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "evonas").rglob("*.py")
        if path.relative_to(ROOT / "evonas").parts[0] not in ROOMS
    }
    recipes = {f"evonas/{p.relative_to(ROOT)}" for p in (ROOT / "runners/cluster").iterdir()}
    return kernel.union(*map(modules, ROOMS)) | recipes | {"evonas/py.typed"}


def test_the_wheel_holds_the_rooms_as_plain_files_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        entries = archive.infolist()
    links = [entry.filename for entry in entries if entry.external_attr >> 28 == 0o12]
    assert not links
    metadata = f"evonas-{evonas.__version__}.dist-info/"
    assert {e.filename for e in entries if not e.filename.startswith(metadata)} == expected()


def test_the_sdist_holds_plain_files(sdist):
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert all(member.isfile() or member.isdir() for member in members)
    names = {member.name.partition("/")[2] for member in members}
    assert expected() | {"LICENSE", "README.md", "pyproject.toml"} <= names
    assert not {name for name in names if name.startswith(("tests/", "benchmarks/", *ROOMS))}


@pytest.mark.parametrize("package", [True, False], ids=["packages", "plain folders"])
@pytest.mark.parametrize("runner", ["serial", "processes", "ray"])
def test_a_script_beside_folders_of_the_same_names_searches(with_ray, tmp_path, runner, package):
    names = [*ROOMS, "benchmarks", "tests"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.py").write_text("VALUE = 1\n")
        if package:
            (tmp_path / name / "__init__.py").touch()
    # Only packages travel to a cluster.
    used = names if package or runner != "ray" else []
    imports = "\n".join(f"from {name} import one as in_{name}" for name in used)
    value = " + ".join(["genome['n'] % 30", *(f"in_{name}.VALUE" for name in used)])
    (tmp_path / "mine.py").write_text(MINE.format(imports=imports, value=value))
    out, _ = call(with_ray / "bin/python", "mine.py", runner, directory=tmp_path)
    file, ok = out.split()[-2:]
    assert Path(file).is_relative_to(with_ray)
    assert ok == "25"
    command = [with_ray / "bin/evonas", "search", "mine.py:Mine", "--evaluations", "8"]
    call(*command, "--runner", runner, "--out", "run", directory=tmp_path)
    assert (tmp_path / "run" / "front.csv").exists()


def test_the_core_searches_with_surrogates_and_draws_but_does_not_export_models(core, tmp_path):
    (tmp_path / "mine.py").write_text(EXPORTING.format(imports="", value="genome['n'] % 30"))
    command = [core / "bin/evonas", "search", "mine.py:Mine", "--evaluations", "30", "--out", "run"]
    _, error = call(*command, directory=tmp_path, code=2)
    assert error.endswith("an export of models needs onnx; pip install 'evonas[vision]'\n")
    assert (tmp_path / "run" / "front.png").exists()
    out, _ = call(core / "bin/evonas", "status", "run", "--json", directory=tmp_path)
    assert "spared_share" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("search digits", "the problem 'digits' needs torch; pip install 'evonas[vision]'"),
        ("search zdt1 --runner ray", "the runner 'ray' needs ray; pip install 'evonas[ray]'"),
        ("doctor", "'evonas doctor' needs ray; pip install 'evonas[ray]'"),
        ("device probe digits", "the problem 'digits' needs torch; pip install 'evonas[vision]'"),
    ],
)
def test_what_is_missing_is_named_with_the_extra_that_brings_it(core, tmp_path, arguments, said):
    _, error = call(core / "bin/evonas", *arguments.split(), directory=tmp_path, code=2)
    assert error == f"evonas: {said}\n"


def test_problems_that_need_an_extra_are_named_beside_those_that_do_not(core, tmp_path):
    out, error = call(core / "bin/evonas", "problems", directory=tmp_path)
    assert "binh_korn" in out
    assert error == "evonas: the problem 'digits' needs torch; pip install 'evonas[vision]'\n"

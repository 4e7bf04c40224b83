"""The command line.

``evonas search | resume | status | export | problems | doctor | device``.

Exit codes: 0 when all went well, 1 when the work failed, 2 when the call was wrong, 130 when it
was stopped at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

import evonas
from evonas import plugins, references
from evonas.engine.settings import (
    BUDGET,
    CHANGEABLE,
    OWN,
    SearchSettings,
    load_runner,
    read_settings,
)
from evonas.engine.signature import describe
from evonas.errors import EvonasError
from evonas.run.front import FORMATS
from evonas.run.run import EXPORTS, Run, run_problem
from evonas.runners.cli import run_directory, tables
from evonas.runners.cli.config import FILE_NAME, Config, make_config, parse_options
from evonas.runners.cli.device import device
from evonas.runners.cli.options import option, with_settings
from evonas.runners.cli.progress import ProgressDisplay
from evonas.runners.cli.session import (
    AsJson,
    Options,
    carry_out,
    console,
    print_json,
    run_app,
    standard_error_in,
)

app = typer.Typer(
    name="evonas",
    help="Evolve convolutional networks split between an edge device and a server.",
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.add_typer(device, name="device")

Directory = Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")]
Given = Mapping[str, Any]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Show what Ray prints, instead of keeping it in ray.log.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"evonas {evonas.__version__}")
        raise typer.Exit


@app.callback()
def _evonas(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print it.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; any command takes it.")
    ] = False,
) -> None:
    # main() looks for --debug itself, because it may stand anywhere.
    pass


def _absolute(reference: str) -> str:
    """Make the path in ``file.py:Class`` absolute, so that a run can be resumed from anywhere."""
    place, _, name = reference.rpartition(":")
    return f"{Path(place).resolve()}:{name}" if place.endswith(".py") else reference


def _log(directory: Path, runner: object, verbose: bool) -> Path | None:
    """Say where the noise of a runner goes; ``None`` is the screen."""
    return directory / "ray.log" if runner == "ray" and not verbose else None


@app.command(epilog="Example: evonas search digits --seed 1 --workers 2")
@with_settings(SearchSettings.model_fields)
def search(
    target: Annotated[
        str,
        typer.Argument(
            metavar="PROBLEM|CONFIG.yaml",
            help="A name that 'evonas problems' lists, module:Class, file.py:Class, or a YAML file "
            "with a key for each of these options.",
        ),
    ],
    given: Given,
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR", help=f"{Config.model_fields['out'].description}."),
    ] = None,
    assignments: Options = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A preset, or a device that 'evonas device fit' made known; "
            "short for --set device=NAME.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that is in --out.")
    ] = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Search a problem, and write its front and models.

    Ctrl-C finishes what is running and stops; 'evonas resume' goes on from there.
    """
    if out is not None:
        given = {**given, "out": out}
    options = parse_options(assignments or ())
    if device is not None:
        options["device"] = device
    if target.endswith((".yaml", ".yml")):
        config = make_config(given, options, Path(target))
    else:
        config = make_config({"problem": target, **given}, options)
    problem = references.load_problem(config.problem, config.options)
    name = plugins.class_name(config.problem)
    directory = run_directory.reserve(config.out, name, overwrite)
    config = config.model_copy(update={"problem": _absolute(config.problem), "out": str(directory)})

    def start(display: ProgressDisplay) -> Run:
        return evonas.search(
            problem,
            config.settings,
            out=directory,
            reference=config.problem,
            options=config.options,
            overwrite=overwrite,
            files={FILE_NAME: config.text()},
            observer=display,
            report=display.report,
        )

    try:
        carry_out(start, directory, problem, as_json, _log(directory, config.runner, verbose))
    finally:
        if not run_directory.has_run(directory):  # it went wrong before it began
            run_directory.remove_unborn(directory)


@app.command(epilog="Example: evonas resume results/runs/digits --evaluations 800")
@with_settings(CHANGEABLE)
def resume(
    directory: Directory,
    given: Given,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Go on with a search that was stopped or killed.

    Everything that is not given stays as it was.
    """
    opened = Run.open(directory)
    meta = opened.meta
    used = opened.evaluated + sum(meta["description"].get("probes", {}).values())
    problem = run_problem(directory, meta)
    settings = read_settings(meta["settings"]).resumed(option, **given)
    if settings.runner != OWN:
        load_runner(settings, option)

    def start(display: ProgressDisplay) -> Run:
        unchanged = meta["state"] == "finished" and given.keys().isdisjoint(BUDGET)
        if unchanged or ("evaluations" in given and settings.limit() <= used):
            display.report("The run has used its budget; give a larger one, as --evaluations 800.")
        return evonas.resume(
            directory,
            problem=problem,
            observer=display,
            report=display.report,
            **given,
        )

    carry_out(start, directory, problem, as_json, _log(directory, settings.runner, verbose))


@app.command(epilog="Example: evonas status results/runs/digits --json")
def status(directory: Directory, as_json: AsJson = False) -> None:
    """Show where a run stands, also while it is running."""
    found = Run.open(directory).status()
    if as_json:
        print_json({"directory": str(directory), **found})
    else:
        tables.print_status(console(sys.stdout), directory, found)


@app.command(epilog="Example: evonas export results/runs/digits --format csv,onnx")
def export(
    directory: Directory,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAMES",
            help=f"Of {', '.join(EXPORTS)}, joined by commas (default: all that the problem has).",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a front as tables, picture and verified models."""
    run = Run.open(directory)
    names = list(FORMATS) if formats is None else [n for n in formats.split(",") if n]
    problem = None
    with redirect_stdout(sys.stderr):
        if "onnx" in names or (formats is None and run.meta["reference"] is not None):
            problem = run_problem(directory, run.meta)
            if formats is None and problem.exports_models:
                names.append("onnx")
            if "onnx" in names:
                problem.prepare(print)
        files = run.export(names, problem=problem)
    if as_json:
        print_json({"directory": str(directory), "files": files})
    else:
        for path in files:
            print(path)


@app.command(epilog="Example: evonas problems --json")
def problems(as_json: AsJson = False) -> None:
    """List the problems that can be searched by name."""
    found = []
    for name in plugins.names("evonas.problems"):
        try:
            found.append(tables.describe_problem(name))
        except EvonasError as error:
            print(f"evonas: {error}", file=sys.stderr)
    if as_json:
        print_json(found)
    else:
        for problem in found:
            tables.print_problem(console(sys.stdout), problem)


@app.command(epilog="Example: evonas doctor my_problem.py:MyProblem --address auto")
def doctor(
    target: Annotated[
        str | None,
        typer.Argument(metavar="PROBLEM", help="Also see whether each node can evaluate this."),
    ] = None,
    address: Annotated[str | None, typer.Option(help=f"{describe('address')}.")] = None,
    assignments: Options = None,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Check a Ray cluster for what would break a search there.

    Shows for every node versions, resources, a round trip, the object store, the problem's data
    path, and onnxruntime's speed. The exit code is 1 when something would break a search.
    """
    from evonas.runners.ray.doctor import diagnose

    options = parse_options(assignments or ())
    problem = None if target is None else references.load_problem(target, options)
    with (
        redirect_stdout(sys.stderr),
        standard_error_in(None if verbose else Path(os.devnull)),
    ):
        diagnosis = diagnose(address, problem)
    if as_json:
        print_json(diagnosis.to_json())
    else:
        tables.print_diagnosis(console(sys.stdout), diagnosis)
    if diagnosis.errors:
        raise typer.Exit(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command of ``evonas`` and return its exit code."""
    return run_app(app, "evonas", arguments)

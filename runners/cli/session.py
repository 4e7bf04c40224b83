"""Carrying out a search for the command line: progress, files, and what came of it."""

from __future__ import annotations

import json
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console

from evonas.errors import EvonasError, UsageError, WorkError
from evonas.plugins import extras_named
from evonas.problem import Problem
from evonas.run.front import FORMATS, say_designs
from evonas.run.run import Run
from evonas.runners.cli import run_directory, tables
from evonas.runners.cli.progress import ProgressDisplay

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="An option of the problem, as 'evonas problems' lists them; may be repeated.",
    ),
]


def console(stream: TextIO) -> Console:
    """Make a console that prints text as it is."""
    return Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True)


def print_json(result: object) -> None:
    """Print a result for programs."""
    print(json.dumps(result, indent=2, default=str))


@contextmanager
def standard_error_in(log: Path | None) -> Iterator[TextIO]:
    """Send what anything writes to standard error to a file, and return the way to the screen.

    Args:
        log: File to append to; ``None`` leaves everything on the screen.
    """
    if log is None:
        yield sys.stderr
        return
    sys.stderr.flush()
    # Ray's own processes and libraries write to the descriptor, past anything in Python.
    with os.fdopen(os.dup(2), "w", buffering=1) as screen, log.open("ab") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield screen
        finally:
            sys.stderr.flush()
            os.dup2(screen.fileno(), 2)


def carry_out(
    start: Callable[[ProgressDisplay], Run],
    directory: Path,
    problem: Problem,
    as_json: bool,
    log: Path | None = None,
) -> None:
    """Search, write the front's files and models, and print the front.

    Args:
        start: Starts or resumes the search, shown by the display it is given.
        directory: The run's.
        problem: Prepared by ``start``.
        as_json: Print the result for programs.
        log: File for everything else that is written to standard error.

    Raises:
        WorkError: No evaluation succeeded, a file cannot be written, or a model is not what it
            should be.
    """
    # What a problem prints goes where the progress goes: standard output is for the result.
    with redirect_stdout(sys.stderr), standard_error_in(log) as screen:
        with ProgressDisplay(console(screen)) as display:
            try:
                run = start(display)
            except KeyboardInterrupt:
                begun = run_directory.has_run(directory)
                hint = f" Go on with: evonas resume {shlex.quote(str(directory))}" if begun else ""
                display.report(f"Stopped at once.{hint}")
                raise
        status = run.status()
        files: list[Path] = []
        if len(run.front):
            models = problem.exports_models and status["state"] != "stopped"
            formats = [*FORMATS, "onnx"] if models else FORMATS
            try:
                files = run.export(formats, problem=problem, report=display.report)
            except OSError as error:
                raise WorkError(
                    f"the front cannot be written ({error}); everything that was evaluated is "
                    f"kept: put that right, then: evonas export {shlex.quote(str(directory))}"
                ) from error
        elif status["state"] != "stopped":
            raise WorkError(_why_nothing(directory, status))
    if as_json:
        front = run.front.to_json()["designs"]
        print_json({"directory": str(directory), **status, "files": files, "front": front})
    else:
        _print_result(run, directory, status, files, problem.notes)


def _print_result(
    run: Run,
    directory: Path,
    status: Mapping[str, Any],
    files: Sequence[Path],
    notes: Sequence[str],
) -> None:
    out = console(sys.stdout)
    if files:
        out.print()
        tables.print_front(out, run.front)
        out.print()
    out.print(
        f"{say_designs(status['front_size'])} on the front, "
        f"from {status['evaluated']} evaluations "
        f"({status['infeasible']} infeasible, {status['failed']} failed)"
        + "".join(f" and {count} probes of {name}" for name, count in status["probes"].items())
        + (f" and {say_designs(status['free'])} that cost none" if status["free"] else "")
        + "."
    )
    if "spared_share" in status:
        out.print(tables.surrogate_worth(status))
    if files:
        models = [path for path in files if path.parent.name == "models"]
        names = [path.name for path in files if path not in models]
        if models:
            names.append(f"models/ID/ for {say_designs(len(models))}, each verified")
        out.print(f"In {directory}: {', '.join(names)}.")
    for note in notes:
        out.print(f"Note: {note}")
    if status["state"] == "stopped":
        out.print(f"Stopped. Go on with: evonas resume {shlex.quote(str(directory))}")


def _why_nothing(directory: Path, status: Mapping[str, Any]) -> str:
    text = (
        f"none of {status['evaluated']} evaluations gave a feasible design "
        f"({status['infeasible']} infeasible, {status['failed']} failed)"
    )
    errors = tables.errors(directory).most_common(1)
    return text + "".join(f"; {count} of them: {error}" for error, count in errors)


def run_app(app: typer.Typer, program: str, arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; an error is one sentence on standard error.

    Args:
        app: The commands.
        program: Its name, for messages.
        arguments: Those of the command line; ``None`` takes ``sys.argv``.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"] or ["--help"]
    try:
        command = typer.main.get_command(app)
        with extras_named(f"'{program} {arguments[0]}'"):
            return command.main(args=arguments, prog_name=program, standalone_mode=False) or 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        message, code = _explain(error, program)
        print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
        return code


def _explain(error: Exception, program: str) -> tuple[str, int]:
    if isinstance(error, EvonasError):
        return str(error), 2 if isinstance(error, UsageError) else 1
    if hasattr(error, "format_message"):  # Typer's own exception, or click's in older releases.
        context = getattr(error, "ctx", None)
        where = context.command_path if context else program
        code = int(getattr(error, "exit_code", 2))
        return f"{error.format_message().rstrip('.')}; see '{where} --help'", code
    if isinstance(error, OSError):
        return str(error), 1
    return f"unexpected {type(error).__name__}: {error}; --debug shows where it comes from", 1

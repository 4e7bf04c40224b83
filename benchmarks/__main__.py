"""The commands that make the results which the project commits: ``python -m benchmarks ...``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evonas.errors import ConfigError
from evonas.runners.cli.config import parse_options
from evonas.runners.cli.session import AsJson, Options, print_json, run_app

if TYPE_CHECKING:
    import pandas as pd

bench = typer.Typer(
    help="Make the results that the project commits.",
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Out = Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")]

Table = Annotated[Path, typer.Option(help="CSV or Parquet, one row a design.")]

Genes = Annotated[
    str, typer.Option(help="Gene columns of a table that is not of NAS-Bench-201 cells.")
]

RESULTS = Path("results")


def _print(summary: pd.DataFrame, as_json: bool) -> None:
    if as_json:
        print_json(summary.to_dict("records"))
    else:
        print(summary.to_string(index=False))


@bench.command(epilog="Example: python -m benchmarks knob --out results")
def knob(
    out: Out = RESULTS,
    seed: Annotated[int, typer.Option(help="Of the training and the measurements.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure cost, latency and accuracy over the width knob."""
    from benchmarks.knob import run

    with redirect_stdout(sys.stderr):
        summary = run(out, seed)
    _print(summary, as_json)


@bench.command(epilog="Example: python -m benchmarks engine --evaluations 20000")
def engine(
    out: Out = RESULTS,
    evaluations: Annotated[int, typer.Option(help="Of EvoNAS and pymoo.", min=10)] = 20_000,
    optuna_evaluations: Annotated[int, typer.Option(help="Of Optuna.", min=10)] = 500,
    seed: Annotated[int, typer.Option(help="Of the searches.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure what the engine costs, beside pymoo alone and Optuna with SQLite."""
    from benchmarks.engine import run

    with redirect_stdout(sys.stderr):
        summary = run(out, evaluations, optuna_evaluations, seed)
    _print(summary, as_json)


@bench.command(epilog="Example: python -m benchmarks scale --workers 2 --workers 16")
def scale(
    out: Out = RESULTS,
    workers: Annotated[
        list[int] | None, typer.Option(help="To try; may be repeated (default: 2 to 32).", min=2)
    ] = None,
    evaluations: Annotated[int, typer.Option(help="For each worker.", min=3)] = 20,
    seed: Annotated[int, typer.Option(help="Of the searches.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure how busy workers are kept on Ray, beside Ray Tune with Optuna."""
    from benchmarks.scale import WORKERS, run

    with redirect_stdout(sys.stderr):
        table = run(out, workers or WORKERS, evaluations, seed)
    _print(table, as_json)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


@bench.command(epilog="Example: python -m benchmarks prune --table nasbench201.parquet --seeds 3")
def prune(
    table: Table,
    maximise: Annotated[
        str, typer.Option(help="Columns, separated by commas (default: cifar10,cifar100).")
    ] = "",
    minimise: Annotated[
        str, typer.Option(help="Columns; each is paired with each of the former.")
    ] = "",
    genes: Genes = "",
    methods: Annotated[
        str,
        typer.Option(
            help="Of evonas, plain, pymoo, random, local, msunas, optuna-nsga2, optuna-tpe "
            "(default: all that are installed), and informed: a surrogate that knows the table."
        ),
    ] = "",
    seeds: Annotated[int, typer.Option(help="Searches of every method.", min=1)] = 10,
    budget: Annotated[int, typer.Option(help="Evaluations of a search.", min=40)] = 1000,
    shuffled: Annotated[
        bool, typer.Option("--shuffled", help="Permute the values: there is nothing to learn.")
    ] = False,
    renamed: Annotated[
        bool, typer.Option("--renamed", help="Permute the options' names: knowledge misleads.")
    ] = False,
    out: Out = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Measure how many evaluations surrogates spare on tables of measured designs.

    Finished searches are kept in DIR/runs, so that an interrupted comparison goes on.
    """
    from benchmarks.prune import ACCURACIES, LATENCIES, run
    from benchmarks.prune_methods import available

    if shuffled and renamed:
        raise ConfigError("--shuffled and --renamed do not go together; choose one")
    change = "shuffled" if shuffled else "renamed" if renamed else None
    with redirect_stdout(sys.stderr):
        result = run(
            table,
            out,
            maximise=_names(maximise) or ACCURACIES,
            minimise=_names(minimise) or LATENCIES,
            genes=_names(genes),
            methods=_names(methods) or available(),
            seeds=seeds,
            budget=budget,
            change=change,
        )
    if as_json:
        print_json(result)
        return
    import pandas as pd

    rows = [*result["pairs"], *(row for of in result["methods"].values() for row in of)]
    columns = ["maximise", "minimise", "method", "needed_at_350", "needed_at_500"]
    columns += ["needed_at_1000", "seeds_reached", "spared_at_1000"]
    print(pd.DataFrame(rows)[columns].to_string(index=False))


@bench.command(epilog="Example: python -m benchmarks rounds --table nasbench201.parquet")
def rounds(
    table: Table,
    maximise: Annotated[str, typer.Option(help="A column.")] = "cifar100",
    minimise: Annotated[str, typer.Option(help="A column.")] = "latency_ms.raspi4",
    genes: Genes = "",
    budget: Annotated[int, typer.Option(help="Evaluations of the search.", min=40)] = 1000,
    seed: Annotated[int, typer.Option(help="Of the search.")] = 0,
    out: Out = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Measure how long surrogates take to choose a batch, as more and more designs are known."""
    from benchmarks.rounds import run

    with redirect_stdout(sys.stderr):
        summary = run(table, out, maximise, minimise, _names(genes), budget, seed)
    _print(summary, as_json)


@bench.command(epilog="Example: python -m benchmarks digits --seeds 3")
def digits(
    seeds: Annotated[int, typer.Option(help="Searches of each method.", min=1)] = 3,
    evaluations: Annotated[int, typer.Option(help="Of plain NSGA-II.", min=40)] = 400,
    budget: Annotated[int, typer.Option(help="Evaluations with surrogates.", min=20)] = 140,
    assignments: Options = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Measure how many evaluations surrogates spare on the digits supernet."""
    from benchmarks.digits import run

    options = parse_options(assignments or ())
    with redirect_stdout(sys.stderr):
        result = run(out, seeds=seeds, evaluations=evaluations, budget=budget, options=options)
    if as_json:
        print_json(result)
        return
    import pandas as pd

    print(pd.DataFrame(result["seeds"]).to_string(index=False, float_format="%.4f"))
    print(
        f"The end of plain NSGA-II is reached by {result['seeds_reached']} of {seeds} seeds, in "
        f"{result['needed']:g} evaluations (median; a seed that does not counts {budget})."
    )


def _print_methods(result: Mapping[str, Any], as_json: bool) -> None:
    """Print a comparison: its rows are under ``methods``."""
    if as_json:
        print_json(result)
        return
    import pandas as pd

    rows = [row for of in result["methods"].values() for row in of]
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.3g"))


@bench.command(
    epilog="Example: python -m benchmarks transfer --table nasbench201.parquet --probes 10"
)
def transfer(
    table: Annotated[Path, typer.Option(help="CSV or Parquet with columns METRIC.DEVICE.")],
    targets: Annotated[
        str,
        typer.Option(
            help="Devices held out (default: raspi4,fpga,eyeriss,pi5_litert), or whole names of "
            "columns, energy_mj.pi5_litert, say."
        ),
    ] = "",
    proxies: Annotated[
        str, typer.Option(help="Devices (default: all that are no target nor of its family).")
    ] = "",
    probes: Annotated[str, typer.Option(help="How many, to try.")] = "5,10,20,40",
    draws: Annotated[int, typer.Option(help="Random choices of probes.", min=0)] = 20,
    metric: Annotated[str, typer.Option(help="What to carry over.")] = "latency_ms",
    genes: Genes = "",
    name: Annotated[str, typer.Option(help="Of the files, without an ending.")] = "transfer",
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    out: Out = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Measure how well costs carry over to devices of which a few designs are measured."""
    from benchmarks.transfer import run

    counts = _names(probes)
    for text in counts:
        if not text.isdigit():
            raise ConfigError(f"probes hold '{text}'; write them as 5,10,20")
    with redirect_stdout(sys.stderr):
        result = run(
            str(table),
            out,
            targets=_names(targets),
            proxies=_names(proxies),
            probes=[int(text) for text in counts],
            draws=draws,
            metric=metric,
            genes=_names(genes),
            seed=seed,
            name=name,
        )
    _print_methods(result, as_json)


@bench.command("device", epilog="Example: python -m benchmarks device --python bare/bin/python")
def new_device(
    python: Annotated[
        str,
        typer.Option(
            help="Interpreter with numpy and onnxruntime that measures.", show_default="this one"
        ),
    ] = sys.executable,
    probes: Annotated[int, typer.Option(help="Designs in the kit.", min=4)] = 10,
    held_out: Annotated[int, typer.Option(help="Designs to compare on.", min=5)] = 50,
    proxy_designs: Annotated[int, typer.Option(help="Designs measured here.", min=10)] = 200,
    seconds_per_model: Annotated[float, typer.Option(help="That measure.py takes.", min=0)] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the designs.")] = 0,
    out: Out = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Measure how well a probe kit makes new devices known, for real and simulated."""
    from benchmarks.device import run

    with redirect_stdout(sys.stderr):
        result = run(
            out,
            python,
            probes=probes,
            held_out=held_out,
            proxy_designs=proxy_designs,
            seconds_per_model=seconds_per_model,
            seed=seed,
        )
    _print_methods(result, as_json)
    if not as_json:
        print("measured with", json.dumps(result["interpreter"]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark and return its exit code."""
    return run_app(bench, "python -m benchmarks", arguments)


if __name__ == "__main__":
    sys.exit(main())

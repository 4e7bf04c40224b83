"""The commands that make the results which the project commits: ``python -m benchmarks ...``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import results
from benchmarks.marks import read_marks
from evonas.errors import ConfigError
from evonas.runners.cli.config import parse_options
from evonas.runners.cli.session import AsJson, Options, print_json, run_app

bench = typer.Typer(
    help="Make the results that the project commits.",
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the results.")]
Table = Annotated[Path, typer.Option(help="CSV or Parquet, one row a design.")]
Genes = Annotated[
    str, typer.Option(help="Gene columns; left out, the table is one that EvoNAS knows.")
]
Name = Annotated[str, typer.Option(help="Name of the files, without an ending.")]
Seed = Annotated[int, typer.Option(help="Seed of the random number generator.")]

RESULTS = Path("results")


def _publish(
    run: Callable[[], Sequence[results.Result]], out: Path, as_json: bool, name: str = "result"
) -> None:
    """Carry a benchmark out, write its results, and print them with their marks."""
    import pandas as pd

    with redirect_stdout(sys.stderr):
        results.prepare(out, name)
        found = run()
    marks, printed = read_marks(), []
    for result in found:
        files = [str(path) for path in results.write(out, result)]
        figures = [figure.read(result.table) for figure in marks.figures.get(result.name, ())]
        rows = result.table.to_dict("records")
        printed.append({"name": result.name, "files": files, "figures": figures, "rows": rows})
        if not as_json:
            print(result.table.to_string(index=False, float_format="%.4g"))
            if figures:
                print("\n" + pd.DataFrame(figures).to_string(index=False))
            print("In " + ", ".join(files) + ".\n")
    if as_json:
        print_json({"results": printed})


@bench.command(epilog="Example: python -m benchmarks ledger")
def ledger(out: Out = RESULTS, as_json: AsJson = False) -> None:
    """Write the page of all figures, marks and commands from the results in a folder."""
    from benchmarks.ledger import write

    path = write(out)
    print_json({"file": str(path)}) if as_json else print(f"In {path}.")


@bench.command(epilog="Example: python -m benchmarks knob --out results")
def knob(out: Out = RESULTS, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Measure cost, latency and accuracy over the width knob."""
    from benchmarks.knob import run

    _publish(partial(run, seed), out, as_json)


@bench.command(epilog="Example: python -m benchmarks engine --evaluations 20000")
def engine(
    out: Out = RESULTS,
    evaluations: Annotated[
        int, typer.Option(help="Evaluations of EvoNAS and of pymoo.", min=10)
    ] = 20_000,
    optuna_evaluations: Annotated[int, typer.Option(help="Evaluations of Optuna.", min=10)] = 500,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure what the engine costs, beside pymoo alone and Optuna with SQLite."""
    from benchmarks.engine import run

    _publish(partial(run, evaluations, optuna_evaluations, seed), out, as_json)


@bench.command(epilog="Example: python -m benchmarks scale --workers 2 --workers 16")
def scale(
    out: Out = RESULTS,
    workers: Annotated[
        list[int] | None,
        typer.Option(help="A number of workers to try; may be repeated (default: 2 to 32).", min=2),
    ] = None,
    evaluations: Annotated[int, typer.Option(help="Evaluations for each worker.", min=3)] = 20,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure how busy workers are kept on Ray, beside Ray Tune with Optuna."""
    from benchmarks.scale import WORKERS, run

    _publish(partial(run, workers or WORKERS, evaluations, seed), out, as_json)


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
            help="Some of evonas, plain, pymoo, random, local, optuna-nsga2, optuna-tpe "
            "(default: all that are installed), and oracle: a surrogate that knows the table."
        ),
    ] = "",
    seeds: Annotated[int, typer.Option(help="Searches of every method.", min=1)] = 10,
    budget: Annotated[int, typer.Option(help="Evaluations of a search.", min=40)] = 350,
    change: Annotated[
        str,
        typer.Option(
            help="Change the table: part (every seventh design), renamed (options permuted, so "
            "that knowledge misleads) or shuffled (values permuted, so that there is nothing to "
            "learn)."
        ),
    ] = "",
    name: Name = "prune",
    out: Out = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Measure how many evaluations surrogates spare on tables of measured designs.

    Finished searches are kept in DIR/runs, so that an interrupted comparison goes on.
    """
    from benchmarks.methods import available
    from benchmarks.prune import ACCURACIES, LATENCIES, run

    found = partial(
        run,
        table,
        out / "runs",
        maximise=_names(maximise) or ACCURACIES,
        minimise=_names(minimise) or LATENCIES,
        genes=_names(genes),
        methods=_names(methods) or available(),
        seeds=seeds,
        budget=budget,
        change=change or None,
        name=name,
    )
    _publish(found, out, as_json, name)


@bench.command(epilog="Example: python -m benchmarks rounds --table nasbench201.parquet")
def rounds(
    table: Table,
    maximise: Annotated[str, typer.Option(help="A column.")] = "cifar100",
    minimise: Annotated[str, typer.Option(help="A column.")] = "latency_ms.raspi4",
    genes: Genes = "",
    budget: Annotated[int, typer.Option(help="Evaluations of the search.", min=40)] = 1000,
    seed: Seed = 0,
    out: Out = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Measure how long surrogates take to choose a batch, as more and more designs are known."""
    from benchmarks.rounds import run

    _publish(partial(run, table, maximise, minimise, _names(genes), budget, seed), out, as_json)


@bench.command(epilog="Example: python -m benchmarks digits --seeds 3")
def digits(
    seeds: Annotated[int, typer.Option(help="Searches of each method.", min=1)] = 3,
    evaluations: Annotated[int, typer.Option(help="Evaluations of plain NSGA-II.", min=40)] = 400,
    budget: Annotated[int, typer.Option(help="Evaluations with surrogates.", min=20)] = 140,
    assignments: Options = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Measure how many evaluations surrogates spare on the digits supernet."""
    from benchmarks.digits import run

    options = parse_options(assignments or ())
    found = partial(
        run, out / "runs", seeds=seeds, evaluations=evaluations, budget=budget, options=options
    )
    _publish(found, out, as_json)


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
    probes: Annotated[str, typer.Option(help="Numbers of probes to try.")] = "5,10,20,40",
    draws: Annotated[int, typer.Option(help="Random choices of probes.", min=0)] = 20,
    metric: Annotated[str, typer.Option(help="What to carry over.")] = "latency_ms",
    genes: Genes = "",
    name: Name = "transfer",
    seed: Seed = 0,
    out: Out = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Measure how well costs carry over to devices of which a few designs are measured."""
    from benchmarks.transfer import run

    counts = _names(probes)
    for text in counts:
        if not text.isdigit():
            raise ConfigError(f"probes hold '{text}'; write them as 5,10,20")
    found = partial(
        run,
        str(table),
        targets=_names(targets),
        proxies=_names(proxies),
        probes=[int(text) for text in counts],
        draws=draws,
        metric=metric,
        genes=_names(genes),
        seed=seed,
        name=name,
    )
    _publish(found, out, as_json, name)


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
    seconds_per_model: Annotated[
        float, typer.Option(help="How long measure.py measures a model.", min=0)
    ] = 1.0,
    seed: Seed = 0,
    out: Out = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Measure how well a probe kit makes new devices known, for real and simulated."""
    from benchmarks.device import run

    found = partial(
        run,
        python,
        probes=probes,
        held_out=held_out,
        proxy_designs=proxy_designs,
        seconds_per_model=seconds_per_model,
        seed=seed,
    )
    _publish(found, out, as_json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark and return its exit code."""
    return run_app(bench, "python -m benchmarks", arguments)


if __name__ == "__main__":
    sys.exit(main())

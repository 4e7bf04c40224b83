"""The commands for a new device: ``evonas device probe | fit | list | show``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from evonas import references
from evonas.devices import store
from evonas.devices.profile import FittedCost, Probe, Profile
from evonas.errors import ConfigError, DataError, UsageError
from evonas.runners.cli.config import parse_options
from evonas.runners.cli.session import AsJson, Options, console, print_json
from evonas.runners.kit import fit as profiles
from evonas.runners.kit import make as kits
from evonas.runners.kit.follow_up import follow_up_kit
from evonas.runners.kit.formats import read_result
from evonas.runners.kit.front import front_kit
from evonas.space import genome_key

device = typer.Typer(help="Predict a new device from a few measurements.", rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the device.")]
Devices = Annotated[
    Path,
    typer.Option(
        "--devices",
        metavar="DIR",
        default_factory=store.devices_folder,
        help="Folder of the profiles.",
        show_default=f"${store.DEVICES_VARIABLE}, or a folder of the user's data directory",
    ),
]


@device.command(epilog="Example: evonas device probe digits --designs 10 --out kit")
def probe(
    target: Annotated[
        str | None,
        typer.Argument(metavar="PROBLEM", help="A name, module:Class or file.py:Class."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the kit.")] = Path("kit"),
    designs: Annotated[
        int | None,
        typer.Option(help="Designs to measure on the device (default: 10; all of a front).", min=4),
    ] = None,
    proxy_designs: Annotated[
        int, typer.Option(help="Designs to measure on this machine.", min=10)
    ] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the random number generator.", min=0)] = 0,
    assignments: Options = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Measure the front of this search, not new designs."),
    ] = None,
    after: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="kit-result.json",
            help="Measure more designs of this result's kit; may be repeated, the first kit first.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a kit of models to measure on a new device.

    Copy the kit there, run 'python measure.py', and bring kit-result.json back.
    """
    if [target is None, run is None, not after].count(False) != 1:
        raise ConfigError(
            "give a PROBLEM to probe a new device for, or --run RUN, or --after kit-result.json, "
            "and one of them only"
        )
    if target is None and assignments:
        raise ConfigError("--set goes with a PROBLEM; a run or a result has its own options")
    options = parse_options(assignments or ())
    with redirect_stdout(sys.stderr):
        if run is not None:
            kit = front_kit(run, out, designs)
        elif after:
            kit = follow_up_kit([read_result(result) for result in after], out, designs)
        elif target is not None:
            kit = kits.make(
                references.load_problem(target, options),
                target,
                options,
                out,
                probes=designs or 10,
                proxy_designs=proxy_designs,
                seed=seed,
            )
    if as_json:
        files = [model["file"] for model in kit["models"]]
        print_json({"directory": str(out), "kit": kit["kit"], "files": files})
    else:
        count = len({model["design"] for model in kit["models"]})
        print(f"{len(kit['models'])} models of {count} designs are in {out}.")
        print("Copy it to the device, run 'python measure.py' there (it needs numpy and")
        print(f"onnxruntime), and bring kit-result.json back into {out}, for")
        # A fit replaces the profile: without the earlier results, what they said is lost.
        earlier = ["EARLIER-RESULTS"] if run is not None else list(map(str, after or ()))
        results = shlex.join([*earlier, str(out / "kit-result.json")])
        print(f"evonas device fit NAME {results}")


@device.command(epilog="Example: evonas device fit pi4 kit-result.json front/kit-result.json")
def fit(
    name: Name,
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="kit-result.json...",
            help="What measure.py wrote; the result of the device's own kit first.",
        ),
    ],
    devices: Devices,
    proxies: Annotated[
        list[str] | None,
        typer.Option("--proxy", metavar="NAME", help="Another fitted device; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a device's profile to what was measured there, and say whether to trust it."""
    store.check_name(name)
    known = [store.load(proxy, devices) for proxy in proxies or ()]
    profile = profiles.fit(name, [read_result(result) for result in results], known)
    _warn_of_forgetting(profile, devices)
    path = store.save(profile, devices)
    _show(profile, path, as_json, list(map(str, results)))


def _warn_of_forgetting(profile: Profile, devices: Path) -> None:
    """Say if a profile that is replaced was fitted to kits that this one does not know."""
    try:
        before = store.load(profile.name, devices)
    except UsageError:  # There is none, or it is damaged.
        return
    if set(before.kits) - set(profile.kits):
        console(sys.stderr).print(
            f"This replaces a profile of '{profile.name}' that was fitted to another kit's result, "
            "too; fit all results at once to keep what they said."
        )


@device.command("list", epilog="Example: evonas device list")
def list_devices(devices: Devices, as_json: AsJson = False) -> None:
    """List the fitted devices."""
    found = []
    for name in store.device_names(devices):
        try:
            found.append(store.load(name, devices))
        except DataError as error:
            print(f"evonas: {error}", file=sys.stderr)
    if as_json:
        print_json([_summary(profile) for profile in found])
        return
    out = console(sys.stdout)
    if not found:
        out.print(f"No devices in {devices.resolve()}; 'evonas device fit' makes them.")
        if store.device_names(store.EARLIER_FOLDER):
            out.print(f"But {store.how_to_move('*', devices)}")
        return
    table = _table("name", "problem", "threads", "trusted", "error", "processor")
    for profile in found:
        worst = max(cost.error for cost in profile.kinds.values())
        trusted = "yes" if profile.trusted else "no"
        processor = str(profile.host.get("processor", ""))
        threads = str(profile.threads)
        table.add_row(profile.name, profile.problem, threads, trusted, f"{worst:.1%}", processor)
    out.print(table)


@device.command(epilog="Example: evonas device show pi4")
def show(name: Name, devices: Devices, as_json: AsJson = False) -> None:
    """Show a device's profile: predicted against measured, and whether to trust it."""
    _show(store.load(name, devices), devices / f"{name}.json", as_json)


def _summary(profile: Profile) -> dict[str, Any]:
    """Describe a profile without its predictors."""
    kept = {"name", "problem", "options", "threads", "host", "proxies", "kits"}
    return {
        **profile.model_dump(include=kept),
        "trusted": profile.trusted,
        "kinds": {
            kind: cost.model_dump(exclude={"predictor"}) for kind, cost in profile.kinds.items()
        },
        "next": profile.next or [],
    }


def _show(profile: Profile, path: Path, as_json: bool, results: Sequence[str] = ()) -> None:
    if as_json:
        print_json({"file": str(path), **_summary(profile)})
        return
    out = console(sys.stdout)
    for kind, cost in profile.kinds.items():
        for number in range(len(profile.kits)):
            before = [probe.genome for probe in cost.probes if probe.kit < number]
            probes = [probe for probe in cost.probes if probe.kit == number]
            probes = [probe for probe in probes if probe.genome not in before]
            if probes:
                _print_probes(out, f"{kind} [{cost.unit}]", number, probes)
        _print_verdict(out, kind, cost)
    if not profile.trusted:
        _print_next(out, profile, path, results)
    proxies = ", ".join(profile.proxies)
    out.print(f"{path}: threads: {profile.threads}; proxies: {proxies}.")


def _print_probes(out: Console, title: str, number: int, probes: Sequence[Probe]) -> None:
    later = f"of kit {number + 1}, predicted from the kits before:"
    out.print(f"{title}, {later if number else 'each predicted from the others:'}")
    table = _table("design", "measured", "predicted", "90% interval", "off by")
    for probe in probes:
        table.add_row(
            probe.label,
            f"{probe.measured:.4g}",
            f"{probe.predicted:.4g}",
            f"{probe.lower:.4g} to {probe.upper:.4g}",
            f"{probe.predicted / probe.measured - 1:+.1%}",
        )
    out.print(table)
    if number:
        inside = sum(probe.lower <= probe.measured <= probe.upper for probe in probes)
        off = sum(abs(probe.predicted / probe.measured - 1) for probe in probes) / len(probes)
        out.print(f"Off by {off:.1%} on average; {inside} of {len(probes)} in their intervals.")


def _print_verdict(out: Console, kind: str, cost: FittedCost) -> None:
    found = f"error {cost.error:.1%}, rank correlation {cost.spearman:.2f}"
    trusted = "to be trusted" if cost.trusted else "NOT to be trusted"
    out.print(f"{kind}: {trusted} ({cost.method}; {found}).\n")


def _print_next(out: Console, profile: Profile, path: Path, results: Sequence[str]) -> None:
    """Say what to measure next, and by which commands.

    Args:
        out: Console to print to.
        profile: Profile of the device.
        path: Path of its JSON file.
        results: Paths of the results that it was fitted to, if they are known.
    """
    if profile.next == []:
        out.print("Nearly all designs of its kits are measured. Make a kit of others, with another")
        out.print("'evonas device probe' --seed, and fit its result as a further one.\n")
        return
    # Profiles of earlier versions don't list the designs.
    designs = profile.next or []
    out.print(f"Measure {len(designs)} more designs, these:" if designs else "Measure ten more.")
    for genome in designs:
        out.print(f"  {genome_key(genome)}")
    count = len(profile.kits)
    kit = f"kit{count + 1}"
    given = results or [
        "kit-result.json",
        *(f"kit{n}/kit-result.json" for n in range(2, count + 1)),
    ]
    probe = [word for result in given for word in ("--after", result)]
    fit = [profile.name, *given, f"{kit}/kit-result.json"]
    fit += [word for proxy in profile.proxies[1:] for word in ("--proxy", proxy)]
    if path.parent != store.devices_folder():
        fit += ["--devices", str(path.parent)]
    where = "" if results else " (with its results, wherever they are)"
    out.print(f"A follow-up kit holds them; measure it on the device, and fit all{where}:")
    for command in (
        ["evonas", "device", "probe", *probe, "--out", kit],
        ["python", "measure.py", "--threads", str(profile.threads)],
        ["evonas", "device", "fit", *fit],
    ):
        out.print(f"  {shlex.join(command)}")
    out.print()


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in ("name", "problem") else "right")
    return table

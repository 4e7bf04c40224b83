"""The commands that make a new device known: ``evonas device probe | fit | list | show``."""

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
from evonas.devices import profile as device_profile
from evonas.devices.profile import DEVICES, DEVICES_VARIABLE, Profile
from evonas.errors import ConfigError, DataError, UsageError
from evonas.runners.cli.config import parse_options
from evonas.runners.cli.session import AsJson, Options, console, print_json
from evonas.runners.kit import fit as profiles
from evonas.runners.kit import make as kits
from evonas.runners.kit.formats import read_result
from evonas.runners.kit.front import front_kit
from evonas.runners.kit.further import further_kit
from evonas.space import genome_key

device = typer.Typer(help="Make a new device known by a few measurements.", rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the device.")]
Devices = Annotated[
    Path,
    typer.Option(
        "--devices",
        metavar="DIR",
        default_factory=device_profile.devices_folder,
        help="Where profiles are.",
        show_default=f"${DEVICES_VARIABLE}, or {DEVICES}",
    ),
]


@device.command(epilog="Example: evonas device probe digits --designs 10 --out kit")
def probe(
    target: Annotated[
        str | None,
        typer.Argument(metavar="[PROBLEM]", help="A name, module:Class or file.py:Class."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the kit goes.")] = Path("kit"),
    designs: Annotated[
        int | None,
        typer.Option(help="To measure on the device (default: 10; all of a front).", min=4),
    ] = None,
    proxy_designs: Annotated[int, typer.Option(help="To measure here.", min=10)] = 200,
    seed: Annotated[int, typer.Option(help="Of the designs.", min=0)] = 0,
    assignments: Options = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Measure the front of this search, not new designs."),
    ] = None,
    after: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="kit-result.json",
            help="Measure further designs of this result's kit; may be repeated, the first first.",
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
            kit = further_kit([read_result(result) for result in after], out, designs)
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
            help="What measure.py wrote; further ones are of kits measured later.",
        ),
    ],
    devices: Devices,
    proxies: Annotated[
        list[str] | None,
        typer.Option("--proxy", metavar="NAME", help="A device known before; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a device's profile from what was measured there, and say whether to trust it."""
    device_profile.check_name(name)
    known = [device_profile.load(proxy, devices) for proxy in proxies or ()]
    profile = profiles.fit(name, [read_result(result) for result in results], known)
    _warn_of_forgetting(profile, devices)
    path = profile.save(devices)
    _show(profile, path, as_json, list(map(str, results)))


def _warn_of_forgetting(profile: Profile, devices: Path) -> None:
    """Say if a profile that is replaced was fitted to kits that this one does not know."""
    name = profile.content["name"]
    try:
        before = device_profile.load(name, devices)
    except UsageError:  # There is none, or it is damaged.
        return
    if set(before.content["kits"]) - set(profile.content["kits"]):
        console(sys.stderr).print(
            f"This replaces a profile of '{name}' that was fitted to another kit's result, too; "
            "fit all results at once to keep what they said."
        )


@device.command("list", epilog="Example: evonas device list")
def list_devices(devices: Devices, as_json: AsJson = False) -> None:
    """List the devices that are known."""
    found = []
    for name in device_profile.names(devices):
        try:
            found.append(_summary(device_profile.load(name, devices)))
        except DataError as error:
            print(f"evonas: {error}", file=sys.stderr)
    if as_json:
        print_json(found)
        return
    table = _table("name", "problem", "threads", "trusted", "error", "processor")
    for row in found:
        worst = max(kind["error"] for kind in row["kinds"].values())
        trusted = "yes" if row["trusted"] else "no"
        processor = str(row["host"].get("processor", ""))
        table.add_row(
            row["name"], row["problem"], str(row["threads"]), trusted, f"{worst:.1%}", processor
        )
    nothing = f"No devices in {devices.resolve()}; 'evonas device fit' makes them."
    console(sys.stdout).print(table if found else nothing)


@device.command(epilog="Example: evonas device show pi4")
def show(name: Name, devices: Devices, as_json: AsJson = False) -> None:
    """Show a device's profile: predicted against measured, and whether to trust it."""
    _show(device_profile.load(name, devices), devices / f"{name}.json", as_json)


def _summary(profile: Profile) -> dict[str, Any]:
    """What of a profile is worth reading."""
    kinds = {
        kind: {key: value for key, value in entry.items() if key != "predictor"}
        for kind, entry in profile.content["kinds"].items()
    }
    kept = ("name", "problem", "options", "threads", "host", "proxies", "kits")
    return {
        **{key: profile.content[key] for key in kept},
        "trusted": profile.trusted,
        "kinds": kinds,
        "next": profile.content.get("next", []),
    }


def _show(profile: Profile, path: Path, as_json: bool, results: Sequence[str] = ()) -> None:
    if as_json:
        print_json({"file": str(path), **_summary(profile)})
        return
    out = console(sys.stdout)
    for kind, entry in profile.content["kinds"].items():
        for number in range(len(profile.content["kits"])):
            before = [row["genome"] for row in entry["probes"] if row["kit"] < number]
            rows = [row for row in entry["probes"] if row["kit"] == number]
            rows = [row for row in rows if row["genome"] not in before]
            if rows:
                _print_probes(out, f"{kind} [{entry['unit']}]", number, rows)
        _print_verdict(out, kind, entry)
    if not profile.trusted:
        _print_next(out, profile, path, results)
    proxies = ", ".join(profile.content["proxies"])
    out.print(f"{path}: threads: {profile.content['threads']}; proxies: {proxies}.")


def _print_probes(out: Console, title: str, number: int, rows: list[dict[str, Any]]) -> None:
    later = f"of kit {number + 1}, predicted from the kits before:"
    out.print(f"{title}, {later if number else 'each predicted from the others:'}")
    table = _table("design", "measured", "predicted", "90% interval", "off by")
    for row in rows:
        table.add_row(
            row["label"],
            f"{row['measured']:.4g}",
            f"{row['predicted']:.4g}",
            f"{row['lower']:.4g} to {row['upper']:.4g}",
            f"{row['predicted'] / row['measured'] - 1:+.1%}",
        )
    out.print(table)
    if number:
        inside = sum(row["lower"] <= row["measured"] <= row["upper"] for row in rows)
        off = sum(abs(row["predicted"] / row["measured"] - 1) for row in rows) / len(rows)
        out.print(f"Off by {off:.1%} on average; {inside} of {len(rows)} in their intervals.")


def _print_verdict(out: Console, kind: str, entry: dict[str, Any]) -> None:
    found = f"error {entry['error']:.1%}, rank correlation {entry['spearman']:.2f}"
    trusted = "to be trusted" if entry["trusted"] else "NOT to be trusted"
    out.print(f"{kind}: {trusted} ({entry['method']}; {found}).\n")


def _print_next(out: Console, profile: Profile, path: Path, results: Sequence[str]) -> None:
    """Say what to measure next, and the commands; results are where they were given, if known."""
    content = profile.content
    designs = content.get("next")  # Profiles that were written before have none.
    if designs == []:
        out.print("Nearly all designs of its kits are measured. Make a kit of others, with another")
        out.print("'evonas device probe' --seed, and fit its result as a further one.\n")
        return
    out.print(f"Measure {len(designs)} more designs, these:" if designs else "Measure ten more.")
    for genome in designs or ():
        out.print(f"  {genome_key(genome)}")
    count = len(content["kits"])
    further = f"kit{count + 1}"
    given = results or [
        "kit-result.json",
        *(f"kit{n}/kit-result.json" for n in range(2, count + 1)),
    ]
    probe = [word for result in given for word in ("--after", result)]
    fit = [content["name"], *given, f"{further}/kit-result.json"]
    fit += [word for proxy in content["proxies"][1:] for word in ("--proxy", proxy)]
    if path.parent != device_profile.devices_folder():
        fit += ["--devices", str(path.parent)]
    where = "" if results else " (with its results, wherever they are)"
    out.print(f"A further kit holds them; measure it on the device, and fit all{where}:")
    for command in (
        ["evonas", "device", "probe", *probe, "--out", further],
        ["python", "measure.py", "--threads", str(content["threads"])],
        ["evonas", "device", "fit", *fit],
    ):
        out.print(f"  {shlex.join(command)}")
    out.print()


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in ("name", "problem") else "right")
    return table

"""Measure this kit's models on this device, and write one JSON file to bring back.

    python measure.py [--threads 1] [--out kit-result.json] [--seconds-per-model 1]

Needs Python 3.8 or later, numpy and onnxruntime, and nothing else. Stopped by Ctrl-C or by
anything else, it goes on where it was when the same command is given again.

Times on a machine that also does other work jump, but all code that runs at the same moment is
slowed alike. So every model is timed in short bursts between bursts of the kit's reference model,
and what counts is the median of the ratios of the two, times what the reference takes when the
machine is calm. The time of a call of onnxruntime is part of it.

With a power meter, --meter 10 then runs every model for 10 seconds and asks what the meter shows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

FORMAT = 1
FEWEST_BURSTS, MOST_BURSTS = 7, 100
RUNS = 3
"""Timed samples in a burst; the fastest counts."""

SAMPLE_SECONDS = 0.0003
"""A sample repeats its model until it takes about this long, far above the clock's resolution."""

WARM_UP_SECONDS = 0.1
CALIBRATION_SECONDS = 1.5

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

ANOTHER = "name another file with --out"


class KitError(Exception):
    """The call or the kit is wrong; the message is one sentence."""


def read(path: Path, what: str, remedy: str) -> dict[str, Any]:
    """Read a JSON object; ``remedy`` is what to do when it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise KitError(f"there is no {what} '{path}'") from None
    except (OSError, ValueError) as error:
        raise KitError(f"{what} '{path}' cannot be read: {error}; {remedy}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise KitError(f"{what} '{path}' is not of format {FORMAT}; {remedy}")
    return found


def write(path: Path, result: dict[str, Any]) -> None:
    """Write a result under another name first, so that the file is always complete."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(json.dumps(result), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise KitError(f"'{path}' cannot be written: {error.strerror}") from None


def lock(path: Path) -> IO[bytes] | None:
    """Keep others from measuring this kit; the lock ends with the process, or when it is closed."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    file = path.open("rb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise KitError("this kit is being measured already; two at once slow each other") from None
    return file


def check_files(folder: Path, kit: dict[str, Any]) -> None:
    """Check that the kit and every model are as they were made."""
    rest = {key: value for key, value in kit.items() if key != "kit"}
    if hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest() != kit.get("kit"):
        raise KitError("'kit.json' was damaged; copy the kit again")
    for model in kit["models"]:
        path = folder / model["file"]
        if not path.is_file():
            raise KitError("the kit lacks '{}'; copy the whole folder".format(model["file"]))
        if hashlib.sha256(path.read_bytes()).hexdigest() != model["sha256"]:
            raise KitError("'{}' was damaged; copy the kit again".format(model["file"]))


def processor() -> str:
    """Name the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    fields = [line.partition(":") for line in lines]
    names = {key.strip().lower(): value.strip() for key, _, value in fields}
    for key in ("model name", "model", "hardware"):
        if names.get(key):
            return names[key]
    return platform.processor() or "unknown"


def host() -> dict[str, Any]:
    """Describe what measures."""
    try:
        import numpy
        import onnxruntime
    except ImportError as error:
        raise KitError(f"{error}; measuring needs numpy and onnxruntime") from None
    return {
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "numpy": numpy.__version__,
    }


def load(path: Path, threads: int) -> Callable[[], Any]:
    """Load a model; what is returned calls it once, on random inputs of the declared shapes."""
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    providers = ["CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        reason = f"onnxruntime {onnxruntime.__version__} cannot load '{path.name}'"
        raise KitError(f"{reason}: {str(error).strip()}") from None
    rng = numpy.random.RandomState(0)
    inputs = {}
    for value in session.get_inputs():
        shape = [size if isinstance(size, int) and size > 0 else 1 for size in value.shape]
        kind = value.type[len("tensor(") : -1]
        dtype = numpy.dtype({"float": "float32", "double": "float64"}.get(kind, kind))
        high = 1.0 if dtype.kind == "f" else 2.0 if dtype.kind == "b" else 100.0
        inputs[value.name] = numpy.asarray(rng.uniform(0, high, shape)).astype(dtype)
    return lambda: session.run(None, inputs)


def sample(call: Callable[[], Any], repetitions: int) -> float:
    """Time of one call in seconds, from a few in a row."""
    start = time.perf_counter()
    for _ in range(repetitions):
        call()
    return (time.perf_counter() - start) / repetitions


def warm_up(call: Callable[[], Any]) -> int:
    """Call a model until it is warm, and say how many calls make a sample."""
    end = time.perf_counter() + WARM_UP_SECONDS
    times = [sample(call, 1) for _ in range(3)]
    while time.perf_counter() < end:
        times.append(sample(call, 1))
    return max(1, math.ceil(SAMPLE_SECONDS / max(min(times), 1e-9)))


def calm_seconds(call: Callable[[], Any], repetitions: int) -> float:
    """Time of a call when nothing else runs: the fastest of many short medians."""
    end = time.perf_counter() + CALIBRATION_SECONDS
    medians: list[float] = []
    while not medians or time.perf_counter() < end:
        medians.append(statistics.median(sample(call, repetitions) for _ in range(7)))
    return min(medians)


def ratios(
    call: Callable[[], Any],
    reference: Callable[[], Any],
    reference_repetitions: int,
    seconds: float,
) -> list[float]:
    """Ratios of a model's time to the reference's, one for every pair of bursts."""
    pair = [(call, warm_up(call)), (reference, reference_repetitions)]
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < FEWEST_BURSTS or (len(found) < MOST_BURSTS and time.perf_counter() < end):
        # Each goes first in turn, so that neither always finds the caches as the other left them.
        order = (0, 1) if len(found) % 2 else (1, 0)
        fastest = [0.0, 0.0]
        for index in order:
            fastest[index] = min(sample(*pair[index]) for _ in range(RUNS))
        found.append(fastest[0] / fastest[1])
    return found


def start(kit: dict[str, Any], threads: int, path: Path) -> dict[str, Any]:
    """Begin a result, or take up the one that is there."""
    here = host()
    if not path.parent.is_dir():
        raise KitError(f"there is no folder '{path.parent}' for --out")
    if not path.exists():
        return {
            "format": FORMAT,
            "kit": kit["kit"],
            "complete": False,
            "threads": threads,
            "host": here,
            "reference_ms": None,
            "models": [],
            "made_from": kit,
        }
    result = read(path, "result", ANOTHER)
    for name, now, what in (
        ("kit", kit["kit"], "another kit"),
        ("threads", threads, "another number of threads"),
        ("host", here, "another machine or other versions"),
    ):
        if result.get(name) != now:
            raise KitError(f"'{path}' holds measurements of {what}; {ANOTHER}")
    try:
        known = {model["name"] for model in kit["models"]}
        names = {model["name"] for model in result["models"]}
        whole = names <= known and result["reference_ms"] > 0
    except (KeyError, TypeError):
        whole = False
    if not whole:
        raise KitError(f"result '{path}' is damaged; {ANOTHER}")
    return result


def measure(folder: Path, threads: int, path: Path, seconds: float) -> None:
    """Measure what is not in the result yet."""
    kit = read(folder / "kit.json", "kit", "copy the kit again")
    check_files(folder, kit)
    locked = lock(folder / "kit.json")
    result = start(kit, threads, path)
    measured = {model["name"] for model in result["models"]}
    files = {model["name"]: folder / model["file"] for model in kit["models"]}
    reference = load(files[kit["reference"]], threads)
    reference_repetitions = warm_up(reference)
    if result["reference_ms"] is None:
        result["reference_ms"] = calm_seconds(reference, reference_repetitions) * 1e3
    for number, model in enumerate(kit["models"], 1):
        if model["name"] in measured:
            continue
        call = load(files[model["name"]], threads)
        found = ratios(call, reference, reference_repetitions, seconds)
        ratio = statistics.median(found)
        spread = 1.4826 * statistics.median(abs(one - ratio) for one in found) / ratio
        ms = ratio * result["reference_ms"]
        entry = {key: model[key] for key in ("name", "kind", "design")}
        result["models"].append({**entry, "ms": ms, "spread": spread, "bursts": len(found)})
        write(path, result)
        place = f"{number:3d}/{len(kit['models'])} {model['name']:12s}"
        print(f"{place} {ms:10.4f} ms, spread {spread:.1%}, {len(found)} bursts", flush=True)
    result["complete"] = True
    write(path, result)
    if locked is not None:
        locked.close()


def meter(folder: Path, threads: int, path: Path, seconds: float) -> None:
    """Run each model for a while, ask for the power drawn, and note the energy of a call."""
    result = read(path, "result", ANOTHER)
    for model in result["models"]:
        if "energy_mj" in model:
            continue
        name = model["name"]
        call = load(folder / f"{name}.onnx", threads)
        print(f"{name} runs for {seconds:g} s: note the average watts.", flush=True)
        calls, begin = 0, time.perf_counter()
        while calls == 0 or time.perf_counter() < begin + seconds:
            call()
            calls += 1
        ms = 1e3 * (time.perf_counter() - begin) / calls
        model["energy_mj"] = ask_watts(name) * ms
        write(path, result)


def ask_watts(name: str) -> float:
    """Ask until the answer is a positive number."""
    while True:
        try:
            watts = float(input(f"Watts while {name} ran: "))
        except EOFError:
            raise KitError("no watts were given; the same command goes on from here") from None
        except ValueError:
            watts = 0.0
        if 0 < watts < math.inf:
            return watts
        print("That is no number of watts; give one above 0, as 4.7.")


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure the models of this kit on this device.")
    parser.add_argument("--threads", type=int, default=1, help="of every model (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("kit-result.json"), help="what to write")
    parser.add_argument("--seconds-per-model", type=float, default=1.0, help="default: 1")
    parser.add_argument(
        "--meter", type=float, metavar="SECONDS", help="then run each so long, and ask for watts"
    )
    arguments = parser.parse_args()
    if arguments.threads < 1:
        parser.error("--threads must be 1 or more")
    if not arguments.seconds_per_model >= 0:
        parser.error("--seconds-per-model must be 0 or more")
    if arguments.meter is not None and not 0 <= arguments.meter < math.inf:
        parser.error("--meter must be 0 or more")
    # Before numpy is imported: it reads them once.
    for name in THREAD_VARIABLES:
        os.environ[name] = str(arguments.threads)
    folder, threads, out = Path(__file__).resolve().parent, arguments.threads, arguments.out
    try:
        measure(folder, threads, out, arguments.seconds_per_model)
        if arguments.meter is not None:
            meter(folder, threads, out, arguments.meter)
    except (KitError, OSError) as error:
        print(f"measure.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    print(f"Done: bring back {out.resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

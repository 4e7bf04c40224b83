"""The manifest of a run: versions, seed, command and machine."""

from __future__ import annotations

import json
import platform
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

PACKAGES = ("evonas", "numpy", "pymoo", "torch", "onnx", "onnxruntime", "ray", "xgboost", "pandas")


def write_manifest(directory: Path, problem: str, seed: int) -> None:
    """Write ``manifest.json``: versions, seed, command, host and git revision."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    manifest = {
        "problem": problem,
        "seed": seed,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv,
        "host": {"name": socket.gethostname(), "platform": platform.platform()},
        "versions": versions,
        "git_revision": _git_revision(),
    }
    text = json.dumps(manifest, indent=2) + "\n"
    (directory / "manifest.json").write_text(text, encoding="utf-8")


def _git_revision() -> str | None:
    """Return the revision of the working directory's repository, if there is one."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None

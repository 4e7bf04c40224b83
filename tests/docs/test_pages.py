"""Every command and every example of the README and the guides runs, in the order of its page.

A page has an empty folder to itself. What stands in it:

- A block whose first line is a comment with a file's name is that file.
- All other Python blocks of a page share their names.
- Lines of shell blocks that begin with ``evonas`` or ``python -m evonas`` run in this process, the
  others in bash.

What is not as a reader would have it, so that a page takes seconds:

- Searches evaluate a few designs only, in one process unless the page says otherwise; supernets are
  trained for one epoch, and kits are small: :func:`shorter` adds options to commands.
- Of ``make``, only the recipe is looked up.
- ``photos`` is made of noise.
- What needs other machines, or installs packages, does not run: what begins with a word of
  ELSEWHERE, and an ``evonas`` command with ``--address``, which is parsed, options and all.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from sybil import Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

from evonas.runners.cli.main import app, main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.name != "command_line.md"]  # It is generated.

ELSEWHERE = (".venv/bin/pytest", "git", "kubectl", "pip", "python3", "ray", "sbatch")

COMMANDS = {
    "make": f"exec /usr/bin/make --directory {shlex.quote(str(ROOT))} --dry-run $1",
    "python": f"""
        case $1 in measure.py) set -- "$@" --seconds-per-model 0.05 ;; esac
        exec {shlex.quote(sys.executable)} "$@"
    """,
}
"""Scripts that stand for a command in bash."""


def shorter(words):
    """Add options to the words of an ``evonas`` command that make it take less time."""
    digits = not {"digits", "config.yaml"}.isdisjoint(words)
    supernet = ["--set", "epochs=1", "--set", "validation_images=60"] if digits else []
    if words[0] == "search":
        # The probes of a known device are a part of the budget.
        words = [*words, *supernet, "--evaluations", "12" if "--device" in words else "5"]
        return words if {"--runner", "--workers"} & set(words) else [*words, "--runner", "serial"]
    if words[0] == "resume" and "--evaluations" in words:
        return [*words, "--evaluations", "7"]
    if words[:2] == ["device", "probe"]:
        return [*words, *supernet, "--designs", "4", "--proxy-designs", "12"]
    return words


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A folder for trained weights that all processes of a test session share."""
    folder = tmp_path_factory.getbasetemp()
    return (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "weights"


@pytest.fixture
def folder(tmp_path, monkeypatch, cache):
    """The reader's folder, which is the working directory."""
    commands, here = tmp_path / "commands", tmp_path / "here"
    commands.mkdir()
    for name, text in COMMANDS.items():
        (commands / name).write_text(f"#!/bin/sh\n{text}")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setenv("EVONAS_CACHE", str(cache))
    monkeypatch.setenv("EVONAS_DEVICES", str(tmp_path / "devices"))
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (here / "photos" / kind).mkdir(parents=True)
        for number in range(10):
            image = Image.fromarray(rng.integers(256, size=(20, 16, 3), dtype=np.uint8))
            image.save(here / "photos" / kind / f"{number}.png")
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(here)
    loaded = set(sys.modules)
    yield here
    for name in set(sys.modules) - loaded:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(here)):
            del sys.modules[name]


def write_file(example):
    """Write a block that begins with a file's name; say whether it does."""
    name = re.match(r"# ([\w./-]+\.\w+)\n", example.parsed)
    if name:
        Path(name[1]).write_text(example.parsed, encoding="utf-8")
    return bool(name)


def run_yaml(example):
    assert write_file(example)


def run_python(example):
    if not write_file(example):
        PythonEvaluator()(example)


def run_shell(example):
    for line in example.parsed.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("python -m "), comments=True)
        place = f"{example.path}, line {example.line}: {line}"
        if words and words[0] == "evonas" and "--address" in words:
            parse(words[1:])
        elif words and words[0] == "evonas":
            assert main(shorter(words[1:])) == 0, place
        elif words and words[0] not in ELSEWHERE:
            done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{place}\n{done.stdout}\n{done.stderr}"


def parse(words):
    """Parse a command line of ``evonas`` without carrying it out."""
    command, context = typer.main.get_command(app), None
    while hasattr(command, "resolve_command"):
        context = command.make_context(command.name, words, parent=context)
        _, command, words = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
    command.make_context(command.name, words, parent=context)


PARSERS = [
    CodeBlockParser("python", run_python),
    CodeBlockParser("sh", run_shell),
    CodeBlockParser("yaml", run_yaml),
]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_everything_on_the_page_runs(page, folder):
    # A page is one test, since its blocks build on one another.
    for example in Sybil(PARSERS).parse(page):
        example.evaluate()

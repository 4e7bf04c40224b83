"""What the README shows works as it is written."""

import re
from pathlib import Path

import pytest

import evonas

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
YAML = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


def block(text):
    (found,) = [source for source in PYTHON if text in source]
    return found


def test_the_problem_of_ones_own_is_short_and_can_be_searched(capsys):
    source = block("class Kite")
    lines = [line for line in source.splitlines() if line.strip()]
    assert len(lines) <= 16
    names = {}
    exec(source, names)
    exec(block("evonas.search("), names)
    assert len(names["run"].front) > 10
    assert "latency_ms" in capsys.readouterr().out


def test_a_search_from_python_is_kept_and_goes_on_as_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"evonas": evonas}
    exec(block("class Kite"), names)
    kept, export, resume = re.findall(
        r'`(out="[^`]*|run\.export[^`]*|evonas\.resume[^`]*)`', README
    )
    search = f"evonas.search(Kite(), evaluations=60, surrogate=False, {kept})"
    exec(f"run = {search}\n{export}\nrun = {resume}", names)
    assert (names["run"].directory / "front.png").exists()
    assert names["run"].status()["evaluated"] == 400


@pytest.mark.parametrize("workers", [1, 2])
def test_the_problem_of_ones_own_runs_in_processes_from_its_file(tmp_path, workers):
    file = tmp_path / "kite.py"
    file.write_text(block("class Kite"))
    from evonas.references import load_problem

    problem = load_problem(f"{file}:Kite")
    settings = evonas.SearchSettings(evaluations=60, surrogate=False, workers=workers)
    run = evonas.search(problem, settings)
    assert run.status()["evaluated"] == 60
    assert run.status()["failed"] == 0


def test_the_configuration_is_read_as_it_stands(tmp_path):
    from evonas.runners.cli.config import make_config

    file = tmp_path / "config.yaml"
    (text,) = YAML
    file.write_text(text)
    config = make_config({}, {}, file)
    assert config.problem == "digits"
    assert config.options == {"device": "raspberry-pi", "link": "lte"}
    assert (config.evaluations, config.seed) == (400, 3)


def test_every_option_that_is_shown_exists():
    from evonas.plugins import option_defaults, problem_class

    shown = re.findall(r"evonas search (digits|table)\b([^\n`]*)", README)
    assert {problem for problem, _ in shown} == {"digits", "table"}
    for problem, arguments in shown:
        options = set(re.findall(r"--set (\w+)=", arguments))
        assert options <= set(option_defaults(problem_class(problem)))

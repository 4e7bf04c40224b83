import textwrap

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evonas.engine.settings import SearchSettings
from evonas.errors import ConfigError
from evonas.runners.cli.config import FILE_NAME, make_config, parse_options


@pytest.fixture
def write(tmp_path):
    def write_file(text):
        path = tmp_path / "my.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write_file


def test_the_command_line_goes_before_the_file_and_options_join(write):
    file = write("""
        problem: digits
        seed: 3
        population: 20
        options: {image: 16, device: phone}
    """)
    config = make_config({"seed": 4}, {"device": "board"}, file)
    assert (config.seed, config.population) == (4, 20)
    assert config.options == {"image": 16, "device": "board"}


def test_a_saved_configuration_reads_back_the_same(tmp_path):
    config = make_config({"problem": "digits", "seconds": 60, "out": "é"}, {"links": ["5g"]})
    (tmp_path / FILE_NAME).write_text(config.text(), encoding="utf-8")
    assert make_config({}, file=tmp_path / FILE_NAME) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("problem: digits\n\nsed: 3", r"unknown key 'sed' in '.*my.yaml', line 3; .*'seed'"),
        ("1: 2", r"unknown key '1' in .*line 1; known: evaluations"),
        ("problem: digits\nseed: '3'", r"'seed' in .*line 2 is '3'; it must be a whole number"),
        ("problem: d\npopulation: 1.5", "it must be a whole number"),
        ("problem: d\nevaluations: 0", "it must be at least 1"),
        ("problem: d\nseconds: 0", "it must be more than 0"),
        ("problem: d\ntimeout: .inf", "it must be a finite number"),
        ("problem: d\nseconds: soon", "it must be a number"),
        ("problem: d\nasynchronous: maybe", "it must be true or false"),
        ("problem: d\nout: ''", "it must be text"),
        ("problem: 3", "it must be text"),
        ("problem: d\noptions: [1]", "it must be a mapping"),
        ("problem: d\noptions: {1: 2}", "it must be text"),
        ("seed: 3", "does not name a problem"),
        ("", "is empty"),
        ("# a comment", "is empty"),
        ("- problem", "holds no settings"),
        ("problem", "holds no settings"),
        ("problem: d\nseed: [1", "line 2, is not YAML"),
        ("problem: d\nseed: 1\nseed: 2", "'seed' twice, on lines 2 and 3"),
        ("problem: d\n---\nproblem: e", "is not YAML"),
        ("problem: !!python/object:os.system d", "is not YAML"),
        ("problem: \0", "is not YAML"),
    ],
)
def test_mistakes_in_a_file_are_one_sentence(write, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make_config({}, file=write(text))
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml.*No such file"):
        make_config({}, file=tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.yaml.*UTF-8"):
        make_config({}, file=tmp_path / "binary.yaml")


def test_mistakes_on_the_command_line_name_the_option():
    with pytest.raises(ConfigError, match=r"^--workers is 0; it must be at least 1$"):
        make_config({"problem": "digits", "workers": 0})


@pytest.mark.parametrize("text", ["image", "=16", " =16", "image=[16"])
def test_an_option_that_is_no_assignment_is_refused(text):
    with pytest.raises(ConfigError, match="--set"):
        parse_options([text])


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), SCALARS))
def test_options_are_read_as_yaml(options):
    texts = [f"{key}={yaml.safe_dump([value])}" for key, value in options.items()]
    assert parse_options(texts) == {key: [value] for key, value in options.items()}


def test_the_parameters_of_the_search_go_without_problem_and_directory():
    config = make_config({"problem": "digits", "runner": "serial", "seed": 3, "out": "run"})
    assert config.settings == SearchSettings(runner="serial", seed=3)


@pytest.mark.parametrize(
    ("text", "surrogate"), [("true", True), ("false", False), ("default", "default"), ("", None)]
)
def test_a_surrogate_is_switched_or_named(write, text, surrogate):
    file = write(f"problem: digits\nsurrogate: {text}\n")
    assert make_config({}, file=file).surrogate == surrogate


@pytest.mark.parametrize("key", ["address", "cpus_per_evaluation", "gpus_per_evaluation"])
def test_settings_of_ray_are_refused_elsewhere(key, write):
    value = "auto" if key == "address" else 1.0
    with pytest.raises(ConfigError, match=f"--{key.replace('_', '-')} is for the runner 'ray'"):
        make_config({"problem": "digits", key: value})
    file = write(f"problem: digits\n{key}: {value}\n")
    with pytest.raises(ConfigError, match=f"'{key}' in .* line 2 is for the runner 'ray'"):
        make_config({}, {}, file)

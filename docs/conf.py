"""How ``make docs`` builds these pages; https://www.sphinx-doc.org/en/master/usage/configuration.html."""

import re
import subprocess
import sys
from pathlib import Path

import evonas

HERE = Path(__file__).parent

project = "EvoNAS"
author = project_copyright = "the EvoNAS authors"
version = release = evonas.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

# Every name of ours that is referred to must be found; other libraries are not looked up, because
# that needs a network.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!evonas\.).*")]

html_theme = "furo"
html_title = f"EvoNAS {release}"
html_copy_source = False


def setup(app):
    """Write default values as in the code, so that Sphinx can read the whole signature."""
    written = {"<built-in function print>": "print", "Ellipsis": "..."}

    def tidy(app, what, name, obj, options, arguments, returns):
        for text, code in written.items():
            arguments = arguments and arguments.replace(text, code)
        return arguments, returns

    app.connect("autodoc-process-signature", tidy)


# typer writes the reference of the command line.
page = HERE / "reference" / "command_line.md"
words = ["--name", "evonas", "--title", "The command line", "--output", page]
subprocess.run(
    [sys.executable, "-m", "typer", "evonas.runners.cli.main", "utils", "docs", *words],
    check=True,
    stdout=subprocess.DEVNULL,
)
# Options and examples as code.
text = re.sub(
    r"`[^`]*`|(?<=Example: ).+|--[\w-]+",
    lambda found: found[0] if found[0].startswith("`") else f"`{found[0]}`",
    page.read_text(encoding="utf-8"),
)
page.write_text(text, encoding="utf-8")

"""``python -m evonas`` is the command ``evonas``, also where that is not on the path."""

import sys
from importlib.metadata import entry_points

if __name__ == "__main__":
    (command,) = entry_points(group="console_scripts", name="evonas")
    sys.exit(command.load()())

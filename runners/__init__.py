"""How a search is run: runners, configuration, and the command line."""

"""A run's directory: its journal, its front, and the files that are made of them."""

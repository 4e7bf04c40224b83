"""The search: its settings, its loop, and how it is started and resumed."""

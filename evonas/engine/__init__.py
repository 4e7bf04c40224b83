"""What carries a search out: its settings, the loop, and how it is started and resumed."""

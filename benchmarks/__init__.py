"""The commands that make the committed results; they may compose everything."""

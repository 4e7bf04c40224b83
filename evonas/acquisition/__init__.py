"""How the next designs are chosen: their posterior, and which of them are worth evaluating."""

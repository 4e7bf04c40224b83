"""How the next designs are chosen: what is expected of them, and which are worth an evaluation."""

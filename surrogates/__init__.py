"""Surrogates: models that predict what an evaluation would measure."""

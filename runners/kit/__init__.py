"""Kits of models to measure on a new device, and the fit of its profile to their results."""

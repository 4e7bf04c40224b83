"""Optimizers, which propose designs."""

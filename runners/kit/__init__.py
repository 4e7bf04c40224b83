"""A new device: a kit of models that is measured there, and the profile that comes of it."""

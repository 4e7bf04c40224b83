"""A Gaussian process on views of designs."""

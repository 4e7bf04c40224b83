"""Devices, links, and what is known of them."""

"""Measures the figures in the README with one command."""

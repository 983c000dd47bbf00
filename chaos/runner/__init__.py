"""Plays scenarios and judges a run."""

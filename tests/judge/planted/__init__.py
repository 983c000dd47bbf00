"""Receivers with one bug each, for the judge to catch, and one without."""

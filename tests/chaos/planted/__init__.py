"""Bugs of others, planted into the services from outside, to see that the scenarios catch them."""

"""Mutation testing of the products: small bugs planted by rules, each in a copy, and the tests that notice them."""

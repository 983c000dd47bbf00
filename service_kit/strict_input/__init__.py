"""Input types with exactly one spelling per value: numbers and UUIDs in URLs, and text for people.

Guarantee: a value has one spelling, so a check that compares spellings cannot be evaded with another one; a text shows all
of its characters to its reader.

The package knows nothing of the services that use it and could stand alone.
"""

from service_kit.strict_input.text import SHOWN
from service_kit.strict_input.values import CanonicalInteger, CanonicalUUID

__all__ = ["SHOWN", "CanonicalInteger", "CanonicalUUID"]

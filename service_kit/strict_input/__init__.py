"""What callers write, taken in one spelling: numbers and UUIDs of URLs, and text for people.

Guarantee: a value has one name, so no check that compares what was written can be passed by writing it in another way; a
text shows all of its characters to the person who reads it.

The package knows nothing of the services that use it and could stand alone.
"""

from service_kit.strict_input.text import HumanText
from service_kit.strict_input.values import CanonicalInteger, CanonicalUUID

__all__ = ["CanonicalInteger", "CanonicalUUID", "HumanText"]

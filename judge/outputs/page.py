"""placeholder"""
from typing import Any
def page(document: dict[str, Any]) -> str:
    return "<!DOCTYPE html>"

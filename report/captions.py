"""What is written beside an event in a diagram.

Guarantee: a caption repeats what was recorded, and no more.
"""

from report.exchanges import peer
from report.history import Event


def request(event: Event) -> str:
    """What is asked: a charge with its key and its retry flag, a notification, a copy made by the harness."""
    if peer(event) == "notifications" or event["service"] == "notification_service":
        return "notify"
    verb = "retry" if event.get("retry") == "?1" else "charge"
    if event["service"] == "chaos":
        verb = f"copy of a {verb}"
    return " ".join(filter(None, (verb, str(event.get("sequence_key") or ""), event.get("retry"))))


def reply(event: Event) -> str:
    """What a service answered."""
    return f"{event.get('status', 'reply')}" + (" replayed" if event.get("replayed") else "")


def death(event: Event) -> str:
    """Where a process ended."""
    where = {
        "arrival": "on arrival, before executing",
        "reply": "before replying",
        "attempt": "before sending",
        "notify": "before notifying",
    }
    return f"died {where.get(event['seam'], 'at: ' + str(event['seam']))}"


def plain(event: Event) -> str:
    """An event without a drawing of its own: its seam and its fields."""
    known = {"scenario", "at_ms", "service", "pid", "seam", "account", "order_id"}
    fields = ", ".join(
        f"{name} {value}"
        for name, value in event.items()
        if name not in known and value not in ("", None)
    )
    return f"{event['seam']}: {fields}" if fields else str(event["seam"])

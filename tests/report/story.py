"""Records a history as the wrapped services and the harness do, for samples."""

from typing import Any

ORDER, BILLING, NOTIFICATION = 4101, 4102, 4103
HARNESS = 4000


class Story:
    """The events of one scenario; each is a little later than the one before."""

    def __init__(self, scenario: str, account: str = "cell-5f2c9e01a7b4") -> None:
        self.scenario = scenario
        self.account = account
        self.events: list[dict[str, Any]] = []
        self.at_ms = 0.0

    def later(self, ms: float) -> "Story":
        """Time goes by."""
        self.at_ms = round(self.at_ms + ms, 3)
        return self

    def event(self, service: str, pid: int, seam: str, **fields: Any) -> "Story":
        """One line of the history."""
        self.later(0.7 + len(self.events) % 5 * 0.4)
        self.events.append(
            {
                "scenario": self.scenario,
                "at_ms": self.at_ms,
                "service": service,
                "pid": pid,
                "seam": seam,
                "account": self.account,
                **fields,
            }
        )
        return self

    def chaos(self, seam: str, **fields: Any) -> "Story":
        """The harness did or saw something."""
        return self.event("chaos", HARNESS, seam, **fields)

    def order(self, seam: str, pid: int = ORDER, **fields: Any) -> "Story":
        """At the order service's seams."""
        return self.event("order_service", pid, seam, **fields)

    def placed(self) -> "Story":
        """POST /orders came in."""
        return self.order("arrival", complete=True)

    def attempt(self, key: int, retry: bool = False, pid: int = ORDER) -> "Story":
        """A charge is about to be sent."""
        return self.order("attempt", pid, **_charge(key, retry))

    def arrival(self, key: int, retry: bool = False, pid: int = BILLING) -> "Story":
        """A charge reached billing."""
        return self.event("billing_service", pid, "arrival", complete=True, **_charge(key, retry))

    def reply(
        self, key: int, retry: bool = False, pid: int = BILLING, status: int = 201
    ) -> "Story":
        """Billing answers."""
        return self.event("billing_service", pid, "reply", status=status, **_charge(key, retry))

    def answer(self, key: int, retry: bool = False, pid: int = ORDER, status: int = 201) -> "Story":
        """The answer reached the order service."""
        return self.order("answer", pid, status=status, **_charge(key, retry))

    def no_answer(self, key: int, saw: str, retry: bool = False, pid: int = ORDER) -> "Story":
        """The attempt was given up."""
        return self.order("no answer", pid, saw=saw, **_charge(key, retry))

    def charged(self, key: int, retry: bool = False) -> "Story":
        """One attempt with its answer."""
        return (
            self.attempt(key, retry)
            .arrival(key, retry)
            .later(3)
            .reply(key, retry)
            .answer(key, retry)
        )

    def observed(self, effects: float, keys: int) -> "Story":
        """The harness reads Postgres past all proxies."""
        return self.chaos("observed", effects=effects, keys=keys)

    def notified(self, pid: int = ORDER) -> "Story":
        """A notification and its acknowledgement."""
        fields = {"peer": "notifications", "sequence_key": "", "retry": ""}
        self.order("notify", pid, **fields)
        self.event("notification_service", NOTIFICATION, "arrival", complete=True, **fields)
        self.event("notification_service", NOTIFICATION, "reply", status=202, **fields)
        return self.order("answer", pid, status=202, **fields)


def _charge(key: int, retry: bool) -> dict[str, Any]:
    return {
        "peer": "charges",
        "sequence_key": f'"{key}"' if key else "",
        "retry": "?1" if retry else "?0",
        "order_id": "0b9f4f1e-1c8e-4c1b-9d0a-5a3f9f2c7d11",
    }

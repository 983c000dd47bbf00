"""Random plans for the soak: which orders are placed, what strikes, and at which point.

Guarantee: a plan is a pure function of its seed. Its points are logical ("when order 17 is placed"), never moments in
time, so that the same plan means the same thing on a slow machine.
"""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from stack.toxics import Latency, LimitData, ResetPeer, Slicer, Timeout, Toxic

PROXIES = ("billing", "notification", "billing-db", "order-db", "notification-db")
TOXICS: Mapping[str, Toxic] = MappingProxyType(
    {
        "answers cut": LimitData(bytes=0),
        "requests cut": LimitData(bytes=0, stream="upstream"),
        "answers cut in the middle": LimitData(bytes=200),
        "requests cut in the middle": LimitData(bytes=480, stream="upstream"),
        "answers reset": ResetPeer(timeout_ms=0),
        "requests reset": ResetPeer(timeout_ms=0, stream="upstream"),
        "answers silent": Timeout(timeout_ms=0),
        "requests silent": Timeout(timeout_ms=0, stream="upstream"),
        # Around the soak's deadline of an attempt: some answers come in time, some late.
        "answers late": Latency(latency_ms=900),
        "requests late": Latency(latency_ms=900, stream="upstream"),
        "answers dripping": Slicer(average_size_bytes=40, size_variation_bytes=0, delay_us=120_000),
    }
)
SERVICES = ("order_service", "billing_service", "notification_service")
ORDERS_A_ROUND = 40
STRIKES_MAX = 4
REPLICAS = 2

What = Literal["toxic", "kill", "stop", "postgres"]


@dataclass(frozen=True)
class Strike:
    """One fault: from the placing of order `begins` to that of order `ends`.

    `toxic` needs a proxy and a name of `TOXICS`; `kill` and `stop` a service and a replica; `postgres` nothing.
    """

    what: What
    begins: int
    ends: int
    where: str = ""
    how: str = ""
    replica: int = 0

    def __str__(self) -> str:
        span = f"orders {self.begins} to {self.ends}"
        match self.what:
            case "toxic":
                return f"{span}: {self.how} on {self.where}"
            case "kill":
                return f"order {self.begins}: kill -9 of {self.where} {self.replica}"
            case "stop":
                return f"{span}: {self.where} {self.replica} is stopped"
            case "postgres":
                return f"order {self.begins}: Postgres crashes"


@dataclass(frozen=True)
class Plan:
    """One round."""

    seed: int
    orders: int
    strikes: tuple[Strike, ...]

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    def without(self, index: int) -> "Plan":
        """The same plan without one of its strikes."""
        strikes = self.strikes[:index] + self.strikes[index + 1 :]
        return replace(self, strikes=strikes)

    def shorter(self) -> "Plan":
        """The first half of the orders; what would strike later strikes at the end."""
        orders = self.orders // 2
        strikes = tuple(
            replace(s, begins=min(s.begins, orders - 1), ends=min(s.ends, orders))
            for s in self.strikes
        )
        return replace(self, orders=orders, strikes=strikes)


def draw(seed: int, round_number: int = 0) -> Plan:
    """The plan of a round."""
    chance = random.Random(f"{seed}/{round_number}")  # noqa: S311 - a plan, not a secret
    strikes = (_strike(chance) for _ in range(chance.randint(1, STRIKES_MAX)))
    return Plan(seed, ORDERS_A_ROUND, tuple(sorted(strikes, key=lambda s: (s.begins, str(s)))))


def read(content: Mapping[str, Any]) -> Plan:
    """From a file's content. Raises `KeyError`, `TypeError` or `ValueError` when it is no plan."""
    strikes = tuple(Strike(**strike) for strike in content["strikes"])
    for strike in strikes:
        if strike.what == "toxic" and (strike.where not in PROXIES or strike.how not in TOXICS):
            raise ValueError(f"unknown toxic {strike.how!r} on {strike.where!r}")
        if strike.what in ("kill", "stop") and strike.where not in SERVICES:
            raise ValueError(f"unknown service {strike.where!r}")
    return Plan(int(content["seed"]), int(content["orders"]), strikes)


def _strike(chance: random.Random) -> Strike:
    begins = chance.randrange(ORDERS_A_ROUND)
    ends = chance.randint(begins + 1, ORDERS_A_ROUND)
    # The network fails more often than processes do, and processes more often than databases.
    what = chance.choices(("toxic", "kill", "stop", "postgres"), (6, 3, 1, 1))[0]
    match what:
        case "toxic":
            return Strike(
                "toxic", begins, ends, chance.choice(PROXIES), chance.choice(sorted(TOXICS))
            )
        case "kill":
            return Strike(
                "kill",
                begins,
                ends,
                chance.choice(SERVICES),
                replica=chance.randrange(REPLICAS),
            )
        case "stop":
            return Strike(
                "stop", begins, ends, "billing_service", replica=chance.randrange(REPLICAS)
            )
        case _:
            return Strike("postgres", begins, ends)

"""Each action as a line for a shell: what the page does can be done without it.

Guarantee: a line holds no token; where one is needed it stands as a variable.
"""

import json

from chaos.harness.harness import AMOUNT_CENTS
from chaos.harness.target import Target
from order_service.wire import Delivery


class Shell:
    """Knows where everything is."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def order(self, account: str, delivery: Delivery) -> str:
        """Places an order."""
        body = {
            "customer": account,
            "amount_cents": AMOUNT_CENTS,
            "item": "book",
            "delivery": str(delivery),
        }
        token = ' -H "Authorization: Bearer $ORDER_TOKEN"' if self._target.order_tokens else ""
        url = f"{self._target.urls['order_service']}/orders"
        return f"curl {url} -H 'Content-Type: application/json'{token} -d '{json.dumps(body)}'"

"""Scenarios of a cloned order_service that takes orders beside its original, with the same token.

Guarantee: the clone is a real second service on a real copy of the database; both hand out the same keys.
"""

from chaos.scenarios.scenario import Scenario
from chaos.steps.clones import CloneSettlesPastTheOriginal, OrdersBesideAClone

CLONES = (
    Scenario(
        "clone/both_take_orders",
        "a clone of the order service takes orders beside its original, under the same keys",
        (OrdersBesideAClone(),),
        effects=None,
    ),
    Scenario(
        "clone/forgets_what_its_original_has_in_flight",
        "a clone settles later keys while its original's charge has no answer: the charge stays, and its order ends unknown",
        (CloneSettlesPastTheOriginal(),),
        effects=None,
    ),
)

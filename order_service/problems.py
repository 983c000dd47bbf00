"""The problems that order_service answers with (RFC 9457).

Guarantee: each one says what became of the order, and with it whether money can have moved. A problem that says that no
order was recorded leaves none behind.
"""

from service_kit.problem_details import ProblemType

RETENTION = (
    "A customer's Idempotency-Key is an RFC 9651 String of 1 to 255 characters. It belongs to the client that places the "
    "order and to the customer of the order, and is kept as long as the order is."
)

KEY_MALFORMED = ProblemType(
    "key-malformed",
    400,
    "The customer's key is malformed",
    'Idempotency-Key is an RFC 9651 String of 1 to 255 characters, in double quotes: Idempotency-Key: "a7f3". '
    "No order was recorded.",
)
TOKEN_WRONG = ProblemType(
    "token-wrong",
    401,
    "The bearer token is missing or wrong",
    "This service knows its clients (ORDER_TOKENS). Send exactly one header Authorization: Bearer <token>. "
    "Nothing was executed.",
)
ORDER_DECLINED = ProblemType(
    "order-declined",
    402,
    "Billing declined the order",
    "The balance is too low. The order is final; nothing was withdrawn.",
)
ORDER_UNKNOWN = ProblemType(
    "order-unknown",
    404,
    "There is no such order",
    "No order of this client has this id. An order belongs to the client that placed it.",
)
KEY_REUSED = ProblemType(
    "key-reused",
    422,
    "The customer's key is known with another order",
    "A key names one order of its customer for ever. No order was recorded; take a new key for another order.",
)
ORDER_FAILED = ProblemType(
    "order-failed",
    422,
    "Billing refused the order",
    "Billing refused the charge for a reason that sending it again cannot change, for example an unknown account. "
    "The order is final; nothing was withdrawn.",
)
DELIVERY_REFUSED = ProblemType(
    "delivery-refused",
    422,
    "This delivery is switched off",
    "When the network fails, at_least_once may charge twice and at_most_once may not charge at all. They exist to show that, "
    "and are allowed only with ORDER_UNSAFE_DELIVERY=1. No order was recorded.",
)
ORDER_SETTLED = ProblemType(
    "order-settled",
    409,
    "The order cannot be cancelled",
    "The order is final already; the member `order` says how it ended. If it is billed, it stays billed.",
)
ORDER_CANCELLED = ProblemType(
    "order-cancelled",
    409,
    "The order was cancelled",
    "The order was cancelled before it was billed. Nothing was withdrawn, and nothing ever will be.",
)
CANCEL_IMPOSSIBLE = ProblemType(
    "cancel-impossible",
    409,
    "An order of this delivery cannot be cancelled",
    "Only exactly_once has one key that can be voided. at_least_once has sent several keys, and at_most_once never learns "
    "whether its charge arrived. Nothing was changed: the order is still pending and may be billed.",
)
CANCEL_UNKNOWN = ProblemType(
    "cancel-unknown",
    503,
    "It is unknown whether the order can be cancelled",
    "Billing did not answer. The order is still pending and may be billed: ask again after Retry-After seconds.",
)
WINDOW_FULL = ProblemType(
    "window-full",
    503,
    "Too many orders wait for billing",
    "Billing has not answered for a while and the window of unsettled orders is full. No order was recorded: send it "
    "again after Retry-After seconds.",
)
UNAVAILABLE = ProblemType(
    "unavailable",
    503,
    "The outcome is unknown",
    "The database is away, busy or does not answer. The order may or may not be recorded; if it is, it will be billed once. "
    "With an Idempotency-Key you can ask again and get the same order.",
)

ALL = (
    KEY_MALFORMED,
    TOKEN_WRONG,
    ORDER_DECLINED,
    ORDER_UNKNOWN,
    KEY_REUSED,
    ORDER_FAILED,
    DELIVERY_REFUSED,
    ORDER_SETTLED,
    ORDER_CANCELLED,
    CANCEL_IMPOSSIBLE,
    CANCEL_UNKNOWN,
    WINDOW_FULL,
    UNAVAILABLE,
)

"""The problem types of billing_service: each page says whether money moved and what the caller should do.

Guarantee: every status of 400 and above that answers a charge is one of these problems or a built-in one.
"""

from service_kit.problem_details import (
    BODY_TOO_LARGE,
    BODY_UNREADABLE,
    MEDIA_TYPE_UNSUPPORTED,
    VALIDATION,
    ProblemType,
)

RETENTION = (
    "A key is a decimal integer from 1 to 999999999999999 in double quotes. Its answer is kept until its client "
    "declares it settled with Idempotency-First-Incomplete, never for a time only; after that the key is refused for "
    "ever and never executed again."
)

KEY_MISSING = ProblemType(
    "key-missing",
    400,
    "The sequence key is missing",
    'A charge needs the header Idempotency-Key: "42". Nothing was executed.',
)
KEY_MALFORMED = ProblemType(
    "key-malformed",
    400,
    "The sequence key is malformed",
    "The key is an RFC 9651 String that holds a decimal integer from 1 upwards, without leading zeros, in double "
    'quotes: Idempotency-Key: "42". Nothing was executed.',
)
HEADER_MALFORMED = ProblemType(
    "header-malformed",
    400,
    "A header is malformed",
    "Idempotency-Retry is an RFC 9651 Boolean (?0 or ?1), Idempotency-First-Incomplete an RFC 9651 Integer from 1 "
    "upwards, Request-Timeout an RFC 9651 Decimal above 0 and not above 3600; numbers have no leading zeros. Nothing was "
    "executed.",
)
TOKEN_WRONG = ProblemType(
    "token-wrong",
    401,
    "The bearer token is missing or wrong",
    "The header Authorization: Bearer <token> identifies the caller. Nothing was executed and no key was spent.",
)
INSUFFICIENT_FUNDS = ProblemType(
    "insufficient-funds",
    402,
    "The balance is too low",
    "The charge was declined and nothing was withdrawn. This answer is final: the same key gets it again, even when the "
    "balance is higher later.",
)
ACCOUNT_UNKNOWN = ProblemType(
    "account-unknown",
    404,
    "There is no such account",
    "Nothing was executed and the key is not spent: send the charge again once the account is open.",
)
ACCOUNT_OPENED_OTHERWISE = ProblemType(
    "account-opened-otherwise",
    409,
    "The account was opened with another balance",
    "Opening an account again with the same balance changes nothing and succeeds; with another balance it is refused.",
)
KEY_IN_FLIGHT = ProblemType(
    "key-in-flight",
    409,
    "The same key is being executed",
    "Another request with this key has not finished. This request executed nothing. Send it again with the same key after "
    "Retry-After seconds to get the answer of the other request.",
)
KEY_FORGOTTEN = ProblemType(
    "key-forgotten",
    410,
    "The key was settled and is forgotten",
    "The client declared all keys below a mark as settled and this key lies below it. It is refused for ever: "
    "nothing was executed now, and nothing ever will be.",
)
MARK_LEAP = ProblemType(
    "mark-leap",
    422,
    "First incomplete lies too far above the keys of this client",
    "All keys below first incomplete are refused for ever, so a wrong mark would block the client. It may lie at most "
    "BILLING_MARK_LEAP_MAX above the client's highest key that was charged, declined or declared settled; the member "
    "`highest_key` holds that key. Nothing was executed, the mark has not moved and no key is spent.",
)
KEY_VOIDED = ProblemType(
    "key-voided",
    410,
    "The key was voided",
    "The client took the key out of use before it was executed. It is refused for ever: nothing was executed, and "
    "nothing ever will be.",
)
KEY_EXECUTED = ProblemType(
    "key-executed",
    409,
    "The key was executed and cannot be voided",
    "The members `executed_status` and `answer` of this problem hold the charge's answer; `order_id`, `account` and "
    "`amount_cents` identify the charge. Compare them with yours. This answer is final.",
)
DEADLINE_PASSED = ProblemType(
    "deadline-passed",
    503,
    "The caller's deadline has passed",
    "The time in Request-Timeout was over before the charge began. Nothing was "
    "executed and the key is not spent.",
)
OVERLOADED = ProblemType(
    "overloaded",
    503,
    "Too many charges are waiting",
    "This charge was refused before it began, and nothing was executed. Send it again with the same key after Retry-After "
    "seconds.",
)
KEY_REUSED = ProblemType(
    "key-reused",
    422,
    "The key is known with another payload",
    "A key names one charge for ever. Nothing was executed. Use a new key for another charge.",
)
UNAVAILABLE = ProblemType(
    "unavailable",
    503,
    "The outcome is unknown",
    "The database is unreachable or did not answer in time. The charge may or may not have happened. Send it again with the "
    "same key after Retry-After seconds to learn the outcome.",
)

ALL = (
    KEY_MISSING,
    KEY_MALFORMED,
    HEADER_MALFORMED,
    TOKEN_WRONG,
    INSUFFICIENT_FUNDS,
    ACCOUNT_UNKNOWN,
    ACCOUNT_OPENED_OTHERWISE,
    KEY_IN_FLIGHT,
    KEY_FORGOTTEN,
    KEY_VOIDED,
    KEY_EXECUTED,
    KEY_REUSED,
    MARK_LEAP,
    DEADLINE_PASSED,
    OVERLOADED,
    UNAVAILABLE,
)

OF_A_CHARGE = (
    KEY_MISSING,
    KEY_MALFORMED,
    HEADER_MALFORMED,
    BODY_UNREADABLE,
    TOKEN_WRONG,
    INSUFFICIENT_FUNDS,
    ACCOUNT_UNKNOWN,
    KEY_IN_FLIGHT,
    KEY_FORGOTTEN,
    KEY_VOIDED,
    BODY_TOO_LARGE,
    MEDIA_TYPE_UNSUPPORTED,
    KEY_REUSED,
    MARK_LEAP,
    VALIDATION,
    DEADLINE_PASSED,
    OVERLOADED,
    UNAVAILABLE,
)

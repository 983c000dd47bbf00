"""The problems of notification's wire: each page says whether the message can have been shown, and what to do.

Guarantee: every status of 400 and above that a notification can get is one of these or of the built-in ones.
"""

from service_kit.problem_details import (
    BODY_TOO_LARGE,
    BODY_UNREADABLE,
    MEDIA_TYPE_UNSUPPORTED,
    VALIDATION,
    ProblemType,
)

TOKEN_WRONG = ProblemType(
    "token-wrong",
    401,
    "The bearer token is missing or wrong",
    "The header Authorization: Bearer <token> identifies the client. Nothing was shown.",
)
UNAVAILABLE = ProblemType(
    "unavailable",
    503,
    "The outcome is unknown",
    "The database is down, busy or does not answer. The notification may or may not have been shown: a caller that "
    "promises at most once must not send it again.",
)

ALL = (TOKEN_WRONG, UNAVAILABLE)

OF_A_NOTIFICATION = (
    BODY_UNREADABLE,
    TOKEN_WRONG,
    BODY_TOO_LARGE,
    MEDIA_TYPE_UNSUPPORTED,
    VALIDATION,
    UNAVAILABLE,
)

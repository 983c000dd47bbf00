"""What notification_service promises on the wire: bodies, and the refusals that rule out an effect.

Guarantee: a problem listed in `REFUSALS` means that its request did not show the message and never will.
"""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

# `POST /notifications`: the message was not shown and never will be. The key is the last part of the problem's `type`
# (`/problems/<slug>`), the value is the only status it comes with. After any other problem it may have been shown.
REFUSALS: Final = {
    "body-unreadable": 400,
    "request-malformed": 400,
    "token-wrong": 401,
    "origin-foreign": 403,
    "request-incomplete": 408,
    "body-too-large": 413,
    "target-too-long": 414,
    "media-type-unsupported": 415,
    "host-unknown": 421,
    "validation": 422,
    "head-too-large": 431,
    "not-implemented": 501,
    "too-many-connections": 503,
    "http-version-unknown": 505,
}

# Long enough for any message about one order. The service refuses whatever its reader would not see; of that, the pattern
# names the controls.
Text = Annotated[
    str, Field(strict=True, min_length=1, max_length=2000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Notification(_Body):
    """Body of `POST /notifications`: show `text` to `customer`."""

    notification_id: UUID
    order_id: UUID
    customer: Text
    text: Text


class Shown(_Body):
    """Body of 202: the message was shown."""

    notification_id: UUID


class Arrival(_Body):
    """One arrival, as `GET /notifications` lists it; a notification that arrived twice is listed twice."""

    notification_id: UUID
    order_id: UUID
    customer: str
    text: str
    arrived_at: datetime


class Arrivals(_Body):
    """Body of `GET /notifications`: of one order oldest first, otherwise newest first."""

    notifications: list[Arrival]

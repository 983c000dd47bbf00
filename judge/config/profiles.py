"""Profiles: what statuses mean, where judge.toml does not say it itself.

`draft-07` is draft-ietf-httpapi-idempotency-key-header-07, section 2.7. `stripe` is that API's documented behaviour:
keys are optional, another payload is a 400, and a key may be executed again after its declared life. `lenient` takes any
refusal, and any success as the replay of a success.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """One convention. `key_required`: a request without a key may not be executed."""

    missing_key: int
    other_payload: int
    in_flight: tuple[int, ...]
    key_required: bool
    expires: bool = False
    any_success: bool = False


PROFILES = {
    "draft-07": Profile(400, 422, (409,), key_required=True),
    "stripe": Profile(400, 400, (409, 429), key_required=False, expires=True),
    "lenient": Profile(400, 422, (409, 423, 425, 429, 503), key_required=False, any_success=True),
}
DEFAULT = "draft-07"

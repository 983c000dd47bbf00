"""The guard's configuration: typed, and read once from the environment.

Guarantee: every value is within its stated range; a wrong one raises an error that names its variable.
"""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is the environment variable `HTTP_` + its name in capitals. One set for each process."""

    model_config = SettingsConfigDict(env_prefix="HTTP_", frozen=True)

    # Several times the largest head of any known caller. Other servers usually allow 8 to 16 KiB.
    head_bytes_max: int = Field(
        16_384, ge=1024, le=1_048_576, description="request line and fields; then 431"
    )
    target_bytes_max: int = Field(
        8_192, ge=256, le=1_048_576, description="path and query of a request; then 414"
    )
    # Each field costs memory in addition to its bytes.
    fields_max: int = Field(
        100, ge=10, le=10_000, description="fields of a request's head; then 431"
    )
    # More than any known program uses, and still little for one connection to hold.
    pipeline_max: int = Field(
        16, ge=1, le=1000, description="requests of one connection that are read before an answer"
    )
    # Callers time out after a few seconds, so a slower request has lost its caller.
    head_timeout_s: float = Field(
        10.0,
        gt=0,
        le=300,
        description="from a head's first byte to its last, or from the connection",
    )
    body_timeout_s: float = Field(
        20.0, gt=0, le=300, description="from a body's first byte to its last; then 408"
    )
    # The default of uvicorn.
    keep_alive_s: float = Field(
        5.0, gt=0, le=300, description="a connection without a request is closed after this"
    )
    send_timeout_s: float = Field(
        20.0, gt=0, le=300, description="a peer that does not read its answer is cut off after this"
    )
    # Ten times the number of requests that a process serves concurrently.
    connections_max: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="connections of a process, at most half of its descriptors",
    )
    # Together with idle connections, far below the memory of a small container.
    held_bytes_max: int = Field(
        8_388_608,
        ge=65_536,
        le=1_073_741_824,
        description="bytes that wait for peers or for their turn, over all connections",
    )

"""HTTP clients for services on this machine.

Guarantee: the person's shell does not redirect a request (no proxy from the environment), and making a client reads no certificates. httpx
reads all of the machine's for each one, which takes 20 ms of processor time.
"""

import ssl
from typing import Any

import httpx

# It has no certificate of any authority: the services speak plain HTTP here, and https would fail.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client(**options: Any) -> httpx.AsyncClient:
    """A client with these options of `httpx.AsyncClient`."""
    return httpx.AsyncClient(trust_env=False, verify=_NO_CERTIFICATES, **options)

"""The FastAPI application behind the direct routes of a service."""

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount


def fastapi_behind(app: Starlette) -> FastAPI:
    (behind,) = (route.app for route in app.routes if isinstance(route, Mount))
    assert isinstance(behind, FastAPI)
    return behind

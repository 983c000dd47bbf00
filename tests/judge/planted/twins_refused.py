"""The bug: of requests that come together each one is refused for the others, and none is executed."""

from tests.judge.planted.busy import refusing
from tests.judge.planted.server import IN_FLIGHT, serve

if __name__ == "__main__":
    serve(refusing(IN_FLIGHT))

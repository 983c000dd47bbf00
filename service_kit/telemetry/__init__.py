"""What an operator asks a service: is it up, can it work, and what has it done?

Guarantee: `/healthz` answers 200 as long as the process serves requests, `/readyz` answers 200 only if the service has what
it needs, and `/metrics` has the text format of Prometheus. None of them changes what the service does.
"""

from service_kit.telemetry.endpoints import PROBES, install
from service_kit.telemetry.logs import configure_logs
from service_kit.telemetry.trace import HEADER as TRACE_HEADER
from service_kit.telemetry.trace import begin_trace, traceparent

__all__ = ["PROBES", "TRACE_HEADER", "begin_trace", "configure_logs", "install", "traceparent"]

"""What an operator asks a service: is it up, can it work, what has it done.

Guarantee: `/healthz` answers as long as the process does, `/readyz` tells the truth about what the service needs, and
`/metrics` has Prometheus' text format. Answers for machines; nothing here changes what the service does.
"""

from service_kit.telemetry.endpoints import PROBES, install
from service_kit.telemetry.logs import configure_logs
from service_kit.telemetry.trace import HEADER as TRACE_HEADER
from service_kit.telemetry.trace import begin_trace, traceparent

__all__ = ["PROBES", "TRACE_HEADER", "begin_trace", "configure_logs", "install", "traceparent"]

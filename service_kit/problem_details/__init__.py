"""RFC 9457 problem details for FastAPI: every error of a service is a documented problem.

Guarantee: every response with a status of 400 or above from an application that was given to `install` is
`application/problem+json`, and its `type` is a page of that same application.

The package knows nothing of the services that use it and could stand alone.
"""

from service_kit.problem_details.body_limit import BodyLimit
from service_kit.problem_details.host_check import HostCheck
from service_kit.problem_details.install import (
    BODY_TOO_LARGE,
    BODY_UNREADABLE,
    HOST_UNKNOWN,
    MEDIA_TYPE_UNSUPPORTED,
    ORIGIN_FOREIGN,
    VALIDATION,
    answer,
    documented,
    install,
)
from service_kit.problem_details.problem import Problem, ProblemCatalogue, ProblemType

__all__ = [
    "BODY_TOO_LARGE",
    "BODY_UNREADABLE",
    "HOST_UNKNOWN",
    "MEDIA_TYPE_UNSUPPORTED",
    "ORIGIN_FOREIGN",
    "VALIDATION",
    "BodyLimit",
    "HostCheck",
    "Problem",
    "ProblemCatalogue",
    "ProblemType",
    "answer",
    "documented",
    "install",
]

"""SARIF 2.1.0 of a run, for code scanning views.

Guarantee: each case is a rule; each broken promise is an error, each case that could not be told a warning. A result stands
at judge.toml, because the judge knows no source.
"""

import json

from judge.outputs.result import Json

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {"fail": "error", "unknown": "warning"}


def sarif(document: Json) -> str:
    """The whole file."""
    cases = document["cases"]
    rules = [
        {
            "id": case["name"],
            "shortDescription": {"text": case["title"]},
            "fullDescription": {"text": case["promise"]},
            "help": {"text": case["cause"] or case["promise"]},
        }
        for case in cases
    ]
    results = [
        {
            "ruleId": case["name"],
            "ruleIndex": index,
            "level": _LEVELS[case["verdict"]],
            "message": {"text": f"{case['sentence']} {case['cause']}".strip()},
            # Code scanning shows only what has a place in the repository: the file that describes the service.
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": "judge.toml"},
                        "region": {"startLine": 1},
                    }
                }
            ],
            "partialFingerprints": {"case/v1": case["name"]},
        }
        for index, case in enumerate(cases)
        if case["verdict"] in _LEVELS
    ]
    run = {
        "tool": {"driver": {"name": "retry-judge", "rules": rules}},
        "invocations": [
            {
                "executionSuccessful": document["verdict"] != "unknown",
                "startTimeUtc": document["started"].replace("+00:00", "Z"),
            }
        ],
        "results": results,
    }
    return (
        json.dumps(
            {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False
        )
        + "\n"
    )

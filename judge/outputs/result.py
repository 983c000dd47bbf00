"""result.json: all that is known of a run, as plain data. The other files are made from it.

Guarantee: no secret of judge.toml is in it; its shape is described in docs/judge.md and checked by `schema`.
"""

from decimal import Decimal
from typing import Any

from judge.config.model import Config
from judge.evidence import Attempt, Entry, Fault, Reading
from judge.outputs.curl import curl, is_secret
from judge.verdict import EXIT_CODES, Run, Verdict

Json = dict[str, Any]
FORMAT = 1


def result(run: Run, config: Config) -> Json:
    """The whole document."""
    secrets = _secrets(config)
    document = {
        "format": FORMAT,
        "tool": "retry-judge",
        "url": run.url.rpartition("@")[2] if "@" in run.url else run.url,
        "profile": run.profile,
        "seed": run.seed,
        "started": run.started,
        "seconds": round(run.seconds, 3),
        "latency_s": round(run.latency_s, 4),
        "lag_s": round(run.lag_s, 4),
        "step": _number(config.effect.step),
        "verdict": run.kind,
        "exit_code": EXIT_CODES[run.kind],
        "cases": [_case(verdict, config) for verdict in run.verdicts],
        "not_played": [
            {"name": left.name, "title": left.title, "why": left.why} for left in run.not_played
        ],
    }
    cleaned: Json = _without(document, secrets)
    return cleaned


def _case(verdict: Verdict, config: Config) -> Json:
    evidence = verdict.evidence
    return {
        "name": verdict.name,
        "title": verdict.title,
        "promise": verdict.promise,
        "control": verdict.control,
        "verdict": verdict.kind,
        "sentence": verdict.sentence,
        "cause": verdict.cause,
        "seconds": round(verdict.seconds, 3),
        "notes": list(evidence.notes),
        "witnesses": [{"claim": each.claim, "seen": each.seen} for each in evidence.witnesses],
        "events": [_event(entry, config) for entry in evidence.entries],
    }


def _event(entry: Entry, config: Config) -> Json:
    match entry:
        case Attempt():
            return _attempt(entry, config)
        case Reading():
            return {
                "kind": "reading",
                "at_ms": round(entry.at_ms, 2),
                "value": _number(entry.value),
                "effects": _number(entry.effects),
            }
        case Fault():
            return {"kind": entry.kind, "at_ms": round(entry.at_ms, 2), "text": entry.text}


def _attempt(attempt: Attempt, config: Config) -> Json:
    other = config.request.other_caller or {}
    sent = dict(attempt.request.headers)
    return {
        "kind": "attempt",
        "at_ms": round(attempt.began_ms, 2),
        "ended_ms": None if attempt.ended_ms is None else round(attempt.ended_ms, 2),
        "number": attempt.number,
        "label": attempt.label,
        "through": attempt.through,
        "status": attempt.status,
        "saw": attempt.saw,
        "curl": curl(
            attempt.request,
            config.service.url,
            other_caller=any(
                is_secret(name) and sent.get(name) == text for name, text in other.items()
            ),
        ),
    }


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _secrets(config: Config) -> list[str]:
    """Values that must not be in a report, the longest first."""
    request = config.request
    headers = [
        *request.headers.items(),
        *(request.other_caller or {}).items(),
        *config.effect.headers.items(),
    ]
    values = [value for name, value in headers if is_secret(name) and "{" not in value]
    # The token without its scheme.
    values += [value.partition(" ")[2] for value in values]
    if config.effect.dsn.startswith("postgres"):
        values.append(config.effect.dsn)
    return sorted({value for value in values if len(value) > 2}, key=len, reverse=True)


def _without(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(item, secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [_without(item, secrets) for item in value]
    if isinstance(value, str):
        for secret in secrets:
            # Long ones only: a short token is a word that may stand anywhere.
            if len(secret) >= 8:
                value = value.replace(secret, "***")
    return value

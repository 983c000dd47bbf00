"""`retry-judge init URL`: writes a commented judge.toml to begin with.

Guarantee: no file is overwritten; what is written can be read by the judge.
"""

from pathlib import Path
from urllib.parse import urlsplit

from judge.config.reading import parsed
from judge.errors import ConfigError

_TEXT = """\
# How to send one request to your service, and how to count what really happened.
# Run `retry-judge run` beside this file. Every line that is commented out is optional.

[service]
url = "{url}"
# The judge starts the service itself, kills it (kill -9) and starts it again: only then are crashes played.
# start = "uvicorn shop:app --port {port}"
# ready = "/healthz"                         # answers 2xx when it is up
# env = {{ DATABASE_URL = "sqlite:///x.db" }}

[request]
method = "POST"
path = "{path}"                              # the endpoint that takes an idempotency key
headers = {{ "Idempotency-Key" = "{{key}}" }}    # a quoted key: '"{{key}}"'
# {{unique}} is another text for each new request, and the same for its retries. Use body = "…" or form = {{ … }} as well.
json = {{ account = "alice", amount = 100, reference = "{{unique}}" }}
# other = {{ amount = 101 }}                   # merged into json: another payload with a used key must be refused
# other_caller = {{ Authorization = "Bearer two" }}   # headers of a second principal
# other_path = "/refunds"                    # another endpoint that takes the same payload
# key = "{{uuid}}"                             # or "{{integer}}", which counts up; any template

[effect]
# How to see what really happened: one of http, sql and command, and the change of the number for one effect.
http = "GET /accounts/alice"
value = "$.balance"                          # JSONPath to a number
step = -100
# sql = "SELECT count(*) FROM payments"
# dsn = "sqlite:///x.db"                     # or "postgresql://…"
# command = "redis-cli --raw get payments"

# [expect]
# profile = "draft-07"                       # or "stripe", "lenient": what statuses mean. Single values override it:
# missing_key = 400
# other_payload = 422
# in_flight = [409]
# retention_s = 5                            # a declared life of keys: a retry after it is played, too
# in_flight_ends_s = 15                      # how long after a crash a key may still be reported as in flight
# slow_s = 2                                 # a handler can take so long: retries are spaced across it
"""


def write(url: str, file: Path) -> str:
    """Writes the file and says what to do next. Raises `ConfigError`."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        valid, port = False, 0
    if not valid or not url.isprintable() or '"' in url or "\\" in url:
        raise ConfigError(f"a URL begins with http:// or https:// and has a host, not {url!r}.")
    # A path in the URL is most likely that of the endpoint.
    base = f"{parts.scheme}://{parts.netloc}"
    text = _TEXT.format(url=base, port=port, path=parts.path.rstrip("/") or "/payments")
    parsed(text, file)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as exc:
        raise ConfigError(f"{file} is there already; it is not overwritten.") from exc
    except OSError as exc:
        raise ConfigError(f"{file} cannot be written: {exc.strerror}.") from exc
    return f"Wrote {file}. Set the path, the payload and the effect, then: retry-judge run {file}\n"

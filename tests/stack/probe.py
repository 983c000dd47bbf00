"""What a process finds when it begins, as JSON; then it ends as it is told to: `python -m tests.stack.probe END FD…`."""

import json
import os
import random
import signal
import sys
from pathlib import Path

import asyncpg


def found() -> dict[str, object]:
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    descriptors = {
        int(name): os.readlink(f"/proc/self/fd/{name}")
        for name in os.listdir("/proc/self/fd")
        if Path(f"/proc/self/fd/{name}").exists()
    }
    return {
        "arguments": sys.argv[1:],
        "environ": dict(os.environ),
        "folder": os.getcwd(),
        "path": sys.path,
        "leads its session": (os.getsid(0), os.getpgid(0)) == (os.getpid(), os.getpid()),
        "descriptors": descriptors,
        "signals": [line for line in status if line.startswith(("SigBlk", "SigIgn", "SigCgt"))],
        "name": __name__,
        "input": sys.stdin.read(),
    }


def main() -> None:
    json.dump({**found(), "drawn": random.random(), "pid": os.getpid()}, sys.stdout)
    sys.stdout.flush()
    match sys.argv[1]:
        case "waits":
            signal.pause()
        case "raises":
            raise asyncpg.PostgresError("no disk")
        case "says why":
            sys.exit("no disk")
        case code:
            sys.exit(int(code))


if __name__ == "__main__":
    main()

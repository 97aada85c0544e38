"""Runs the check.mjs of a folder against a server that is started for it."""

import json
import os
import subprocess
import sys

import starter

SECONDS = 300


def check(folder, *, tls):
    """Runs all of it and ends this program as Node did."""
    with starter.Server(tls=tls) as server:
        told = {
            **server.made,
            "binary": starter.BINARY,
            "flags": server.place.flags(),
            "engine": starter.ENGINE,
            "screenshots": starter.SCREENSHOTS,
        }
        environment = {**os.environ, "GRANTOR_INTEROP": json.dumps(told)}
        if tls:
            environment["NODE_EXTRA_CA_CERTS"] = server.made["ca_file"]
        done = subprocess.run(
            ["node", starter.ROOT / "tests/interop" / folder / "check.mjs"],
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
        )
        if done.returncode:
            sys.exit(done.returncode)

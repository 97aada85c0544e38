"""Starts the real binary for a test, with a database and keys of its own, and stops it again.

    with Server() as server:
        print(server.made["token_endpoint"])

`GRANTOR_BINARY` names the binary; without it the one that `cargo build` makes is taken. `GRANTOR_TEST_DATABASE` names a
PostgreSQL server to run on; without it the database is a SQLite file.
"""

import json
import os
import pathlib
import queue
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("GRANTOR_BINARY", str(ROOT / "target/debug/grantor"))
POSTGRES = os.environ.get("GRANTOR_TEST_DATABASE")
ENGINE = "PostgreSQL" if POSTGRES else "SQLite"
# A folder outside the repository for pictures of the pages; nobody but a person looks at them.
SCREENSHOTS = os.environ.get("GRANTOR_SCREENSHOTS")

START_SECONDS = 60
STOP_SECONDS = 20

# Settings of the machine that would change what a test meets: other certificates, proxies, a configured server.
# REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE even win over the `verify` that MSAL was given.
for name in list(os.environ):
    if name.lower().endswith(("_proxy", "_ca_bundle")) or name.startswith(("SSL_CERT_", "GRANTOR_")):
        del os.environ[name]


class Place:
    """Where a server keeps its data: a temporary folder (with a space in its name) and a database that is new."""

    def __init__(self, postgres=POSTGRES):
        self._folder = tempfile.TemporaryDirectory(prefix="grantor interop ")
        self.folder = pathlib.Path(self._folder.name)
        self.database = str(self.folder / "grantor.db")
        if postgres:
            name = f"interop_{uuid.uuid4().hex}"
            run(["psql", "--no-psqlrc", "--quiet", "--dbname", postgres, "--command", f"CREATE DATABASE {name}"])
            self.database = urllib.parse.urlsplit(postgres)._replace(path=f"/{name}").geturl()

    def flags(self):
        return ["--database", self.database, "--keys", str(self.folder / "keys")]

    def cli(self, *arguments, **options):
        """Runs a command of the binary on this data; hands back what `--json` printed, if it printed anything."""
        printed = run([BINARY, *arguments, *self.flags(), "--json"], cwd=self.folder, **options).strip()
        return json.loads(printed) if printed else None

    def close(self):
        self._folder.cleanup()


class Running:
    """A process of the binary on the data of a place. It is told to stop when the block ends that it is used in."""

    def __init__(self, place, arguments, *, log="server.log", **options):
        self.place = place
        self._log = (self.place.folder / log).open("a+")
        self._process = subprocess.Popen(
            [*options.pop("under", []), BINARY, *arguments, *place.flags()],
            cwd=place.folder,
            stdin=subprocess.DEVNULL,
            stderr=self._log,
            text=True,
            **options,
        )

    def log(self):
        self._log.seek(0)
        return self._log.read()

    def show_log(self):
        print("--- what the server wrote to standard error", self.log(), "---", sep="\n", file=sys.stderr)

    def terminate(self):
        """Tells it to stop, as an operator does."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self):
        """Ends it as a machine does that loses its power."""
        self._process.kill()
        self._process.wait()

    def ended(self):
        """Until it ended by itself; hands back its exit code."""
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not end within {STOP_SECONDS} s") from None

    def wait(self):
        """Until it ended by itself, and well."""
        code = self.ended()
        assert code == 0, f"the server stopped with exit code {code} after the signal"

    def stop(self):
        """Tells it to stop; it has to end by itself, and well."""
        self.terminate()
        self.wait()

    def stop_at_once(self):
        """Tells it to stop without a drain, as at a terminal."""
        self._process.send_signal(signal.SIGINT)
        self.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            self.stop()
        except BaseException:
            self.show_log()
            raise
        else:
            if kind is not None:
                self.show_log()
        finally:
            self._log.close()


class Server(Running):
    """`grantor quickstart`, ready to be asked. `made` is what it printed: an object with `as_json`, else the lines."""

    def __init__(self, *, tls=False, as_json=True, place=None, listen="127.0.0.1:0"):
        self._own_place = place is None
        arguments = ["quickstart", "--listen", listen]
        arguments += ["--json"] if as_json else []
        arguments += ["--tls"] if tls else []
        super().__init__(place or Place(), arguments, stdout=subprocess.PIPE)
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.made = json.loads(self.next_line()) if as_json else None
        except BaseException:
            self.kill()
            self.show_log()
            raise

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def next_line(self):
        """The next line on standard output."""
        try:
            line = self._lines.get(timeout=START_SECONDS)
        except queue.Empty:
            raise AssertionError(f"quickstart printed nothing more within {START_SECONDS} s") from None
        assert line is not None, "quickstart ended instead of serving"
        return line

    def __exit__(self, *failure):
        try:
            super().__exit__(*failure)
        finally:
            if self._own_place:
                self.place.close()


def run(command, *, input="", timeout=60, **options):
    """Runs a program that must succeed; hands back its standard output."""
    done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout, **options)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def shell(line):
    """Runs a line as a person pastes it; hands back its standard output."""
    return run(["bash", "-c", line])


def documented(page):
    """The lines that a page of the documentation has the reader paste: the words behind `grantor`, line by line."""
    text = (ROOT / "docs" / page).read_text()
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    found = [shlex.split(line.removeprefix("$ grantor ")) for line in lines if line.startswith("$ grantor ")]
    assert found, f"docs/{page} shows no command"
    return found


def snippet(heading, replace, **names):
    """Runs the code that docs/interop.md shows under a heading, with a reader's values in place of the example's."""
    page = (ROOT / "docs/interop.md").read_text()
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    code = section.split("```python\n")[1].split("```")[0]
    for example, value in replace.items():
        assert example in code, f"the snippet does not say {example}"
        code = code.replace(example, value)
    exec(compile(code, f"docs/interop.md: {heading}", "exec"), names)
    return names


def last_seen(probe, seconds):
    """Asks `probe` until it answers false and hands back when it was last asked in vain, in seconds from now.

    So a slow machine is not held against the server: only an answer to a question asked too late counts.
    """
    started = time.monotonic()
    last = 0.0
    while True:
        asked = time.monotonic() - started
        if not probe():
            return last
        last = asked
        assert asked <= seconds, f"still the old answer to a question asked after {asked:.2f} s"
        time.sleep(0.05)


def loopback():
    """A loopback address of one's own: its ports are still free after a restart. Only Linux has more than one."""
    if sys.platform != "linux":
        return "127.0.0.1"
    return f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"


def main(*tests):
    """Runs the tests of one folder, all of them, and fails when one did."""
    failed = 0
    for test in tests:
        started = time.monotonic()
        try:
            test()
            verdict = "ok    "
        except Exception:
            traceback.print_exc()
            verdict = "FAILED"
            failed += 1
        took = time.monotonic() - started
        print(f"{verdict}  {test.__name__.replace('_', ' ')}  ({ENGINE}, {took:.1f} s)", file=sys.stderr)
    sys.exit(1 if failed else 0)

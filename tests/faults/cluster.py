"""A test's own PostgreSQL that it may stop, crash and start. Every commit is written through before it is told."""

import contextlib
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

from processes import free_port
from starter import run

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = '{folder}'
max_connections = 100
fsync = on
synchronous_commit = on
"""


def user():
    """Whom PostgreSQL runs as: it refuses root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise AssertionError("there is no user to run PostgreSQL as")


class Cluster:
    """Stopped at first. `close` ends it and removes its files."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="grantor-cluster-")
        self.folder = pathlib.Path(self._folder.name)
        self.data = self.folder / "data"
        self.port = free_port()
        self.user = user()
        if self.user:
            shutil.chown(self.folder, self.user)

    @property
    def url(self):
        return f"postgres://grantor@127.0.0.1:{self.port}/postgres"

    def make(self):
        how = ["--username=grantor", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        self.program("initdb", f"--pgdata={self.data}", *how)
        self.configure(SETTINGS.format(folder=self.folder))
        return self

    def configure(self, settings):
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(settings)

    def program(self, name, *arguments):
        found = shutil.which(name)
        assert found, f"{name} is not in the path"
        under = ["runuser", "-u", self.user, "--"] if self.user else []
        return run([*under, found, *arguments], cwd="/")

    def control(self, *arguments):
        under = ["runuser", "-u", self.user, "--"] if self.user else []
        command = [*under, shutil.which("pg_ctl"), *arguments, f"--pgdata={self.data}", "--wait", "--silent"]
        # No pipe for what it prints: the server would inherit it and keep it open.
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, cwd="/", check=True, timeout=120, **quiet)

    def start(self):
        self.control("start", f"--log={self.folder / 'log'}", "-o", f"-p {self.port}")

    def stop(self, mode):
        """`fast` ends it in order; `immediate` is a crash, after which it recovers from its log."""
        self.control("stop", f"--mode={mode}")

    def signal(self, number):
        """To the server and everything that it has started; SIGSTOP is a machine that hangs with its connections open."""
        postmaster = (self.data / "postmaster.pid").read_text().split()[0]
        children = pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for process in [postmaster, *children]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), number)

    def query(self, statement):
        return run(["psql", "--no-psqlrc", "-qAt", "--dbname", self.url, "--command", statement]).strip()

    def __enter__(self):
        self.make().start()
        return self

    def __exit__(self, kind, *_):
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop("immediate")
        if kind is not None:
            print("--- the end of PostgreSQL's log", (self.folder / "log").read_text()[-3000:], sep="\n")
        self._folder.cleanup()

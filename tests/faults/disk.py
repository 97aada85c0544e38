"""A SQLite file on a full disk, and on one that cannot be written. Mounts small disks, so it needs root."""

import contextlib
import pathlib
import subprocess
import tempfile

from fleet import Fleet
from lines import Line, first_refusal, still_good
from starter import BINARY, main, run

# Much more than the database of the test needs, so that the disk is full when the test says so.
SIZE = "24m"


@contextlib.contextmanager
def disk(*options):
    """A small disk of its own."""
    with tempfile.TemporaryDirectory(prefix="grantor-disk-") as folder:
        run(["mount", "-t", "tmpfs", "-o", ",".join([f"size={SIZE}", "mode=0700", *options]), "grantor-test", folder])
        try:
            yield pathlib.Path(folder)
        finally:
            run(["umount", folder])


def fill(folder):
    """Leaves not a byte free; hands back what to remove."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    return filler


def a_full_disk_is_told_and_nothing_is_lost():
    with disk() as folder, Fleet(folder=folder) as fleet:
        line, caller = Line(fleet), fleet.caller()
        assert caller.client_credentials().status_code == 200
        revoked = caller.client_credentials().json()["access_token"]
        caller.revoke(revoked, "robot")
        filler = fill(folder)
        first_refusal(line.step)
        assert "full" in fleet.servers[0].log(), "the log does not say what is wrong"
        assert caller.client_credentials().status_code == 200, "the signature needs no disk"
        assert caller.active(line.access[-1]), "reading goes on"
        assert not caller.active(revoked)
        # The operator is told as well.
        for command in [["group", "create", "later"], ["doctor"]]:
            said = failing(fleet, *command)
            assert "full" in said, said
        filler.unlink()
        still_good(fleet, line)
        assert not caller.active(revoked)
        fleet.place.cli("group", "create", "later")
        fleet.place.cli("doctor")


def failing(fleet, *arguments):
    """A command that must not succeed; hands back what it said."""
    command = [BINARY, *arguments, *fleet.place.flags()]
    done = subprocess.run(command, cwd=fleet.place.folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, f"{arguments} ended with {done.returncode}: {done.stdout} {done.stderr}"
    return done.stdout + done.stderr


def a_disk_that_cannot_be_written_is_told():
    with disk() as folder, Fleet(folder=folder) as fleet:
        line = Line(fleet)
        line.step()
        fleet.servers[0].stop_at_once()
        run(["mount", "-o", "remount,ro", str(folder)])
        said = failing(fleet, "serve", "--listen", fleet.addresses[0])
        assert "read-only" in said.lower() or "readonly" in said.lower(), said
        said = failing(fleet, "group", "create", "later")
        assert "read-only" in said.lower() or "readonly" in said.lower(), said
        run(["mount", "-o", "remount,rw", str(folder)])
        fleet.start(0)
        still_good(fleet, line)


if __name__ == "__main__":
    main(a_full_disk_is_told_and_nothing_is_lost, a_disk_that_cannot_be_written_is_told)

"""A SQLite file that another program keeps locked for longer than the server waits."""

import contextlib
import sqlite3

from fleet import Fleet
from lines import Line, first_refusal, still_good
from starter import main


def a_lock_that_another_program_holds_is_waited_for_and_told():
    with Fleet() as fleet:
        line, caller = Line(fleet), fleet.caller()
        assert caller.client_credentials().status_code == 200
        with contextlib.closing(sqlite3.connect(fleet.place.database, isolation_level=None)) as other:
            for lock in ("BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"):
                other.execute(lock)
                first_refusal(line.step)
                assert "locked" in fleet.servers[0].log(), "the log does not say what is wrong"
                assert caller.client_credentials().status_code == 200, "the signature needs no lock"
                assert caller.active(line.access[-1]), "reading goes on"
                other.execute("ROLLBACK")
                still_good(fleet, line)


if __name__ == "__main__":
    main(a_lock_that_another_program_holds_is_waited_for_and_told)

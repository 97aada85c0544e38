"""The machine's clock jumps by days, forwards and back, while the server runs and while it starts."""

import contextlib
import os
import pathlib
import tempfile
import time

from calls import Unanswered, claims, part
from fleet import Fleet
from lines import Line, begin
from rows import Rows
from starter import main

DAY = 86_400

# Of the resource's tokens.
LIFETIME = DAY


def library():
    """libfaketime, where Debian and others keep it."""
    for folder in [*pathlib.Path("/usr/lib").glob("*/faketime"), pathlib.Path("/usr/lib/faketime")]:
        found = folder / "libfaketimeMT.so.1"
        if found.exists():
            return str(found)
    raise AssertionError("libfaketime is not installed")


class Clock:
    """The clock of the servers that are started with `environment`."""

    def __init__(self, folder):
        self.file = pathlib.Path(folder) / "clock"
        self.days = 0
        self.set(0)
        self.environment = {
            **os.environ,
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            # The program's own timers go on; only the time of day jumps.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, days):
        """So many days from the right time."""
        beside = self.file.with_suffix(".new")
        beside.write_text(f"{days * DAY:+d}\n")
        beside.replace(self.file)
        self.days = days

    def now(self):
        return time.time() + self.days * DAY


@contextlib.contextmanager
def server_with_clock():
    with tempfile.TemporaryDirectory(prefix="grantor-clock-") as folder:
        clock = Clock(folder)
        with Fleet(env=clock.environment) as fleet:
            yield fleet, clock


def sensible(token, clock):
    """A token says when it was issued by the clock of that moment, and ends a lifetime later."""
    told = claims(token)
    assert abs(told["iat"] - clock.now()) < 120, f"iat is {told['iat'] - clock.now()} s off"
    assert told["exp"] - told["iat"] == LIFETIME, told
    return token


def issued(caller, clock):
    reply = caller.client_credentials()
    assert reply.status_code == 200, reply.text
    return sensible(reply.json()["access_token"], clock)


def refused_for_now(act):
    try:
        reply = act()
    except Unanswered:
        return True
    assert reply.status_code == 200, reply.text
    return False


def a_clock_that_jumps_while_the_server_runs():
    with server_with_clock() as (fleet, clock):
        caller, line = fleet.caller(), Line(fleet)
        good, revoked = issued(caller, clock), issued(caller, clock)
        caller.revoke(revoked, "robot")
        kid = part(good, 0)["kid"]

        for days in (3, 40):
            clock.set(days)
            fresh = issued(caller, clock)
            assert caller.active(fresh)
            assert not caller.active(good), "it expired by that clock"
            assert not caller.active(revoked)
            if days < 14:
                # As long as an unused refresh token lives.
                assert line.step().status_code == 200
                sensible(line.access[-1], clock)
            clock.set(0)
            assert caller.active(good), "it has not expired by the right clock"
            assert not caller.active(revoked)
            assert line.step().status_code == 200
            assert caller.active(sensible(line.access[-1], clock))
            # RFC 9068 §4 knows no check of iat: a token of the wrong time ends late, and can be revoked.
            caller.revoke(fresh, "robot")
            assert not caller.active(fresh)

        # Before the first key signed, nothing can sign: that is said, and nothing is guessed.
        clock.set(-3)
        assert refused_for_now(caller.client_credentials)
        assert "signing key" in fleet.servers[0].log()
        clock.set(0)
        fresh = issued(caller, clock)
        assert part(fresh, 0)["kid"] == kid, "the key still signs"
        assert kid in caller.keys()
        assert caller.active(fresh)
        assert not caller.active(revoked)
        assert line.step().status_code == 200
        Rows(fleet.place).consistent()


def a_server_that_starts_with_a_wrong_clock():
    with server_with_clock() as (fleet, clock):
        caller, line = fleet.caller(), Line(fleet)
        good, revoked, ended = issued(caller, clock), issued(caller, clock), begin(fleet, fleet.person())
        caller.revoke(revoked, "robot")
        caller.revoke(ended["refresh_token"])
        for days in (3, 200, -3):
            fleet.servers[0].stop_at_once()
            clock.set(days)
            if days > 0:
                fleet.start(0)
                issued(caller, clock)
                fleet.servers[0].stop_at_once()
            else:
                # Before its first key signed it could do nothing, so it does not pretend to serve.
                server = fleet.start(0, wait=False)
                assert server.ended() == 1 and "clock" in server.log(), server.log()
            clock.set(0)
            fleet.start(0)
            assert caller.active(good)
            assert not caller.active(revoked), f"a revocation was forgotten with the clock {days} days off"
            assert not caller.active(ended["access_token"]), f"it counts again with the clock {days} days off"
            assert caller.refresh(ended["refresh_token"]).status_code == 400
            assert line.step().status_code == 200, "an authorization was forgotten"
            assert caller.active(issued(caller, clock))
            Rows(fleet.place).consistent()


if __name__ == "__main__":
    main(a_clock_that_jumps_while_the_server_runs, a_server_that_starts_with_a_wrong_clock)

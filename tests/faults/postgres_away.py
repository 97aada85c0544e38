"""PostgreSQL is stopped, crashes, hangs, takes no writes, and is itself again, while everybody goes on working."""

import concurrent.futures
import os
import random
import signal
import subprocess
import sys
import time

import requests
import starter
from calls import PATIENCE, Unanswered
from cluster import Cluster
from fleet import Fleet
from lines import begin
from starter import START_SECONDS, last_seen, main
from workload import AGREEMENTS, FAMILIES, Workload, told

ROUNDS = int(os.environ.get("FAULTS_OUTAGES", "4"))
SEED = os.environ.get("FAULTS_SEED", str(random.randrange(1 << 32)))

# Requests that were refused while it was away, before it is started again.
REFUSED = 20


def until(what, probe, seconds=START_SECONDS):
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"waited {seconds} s for this: {what}"
        time.sleep(0.05)


def status(fleet, path):
    return requests.get(f"{fleet.public_url}{path}", timeout=PATIENCE).status_code


def nothing_told_is_lost_by_outages():
    print(f"seed {SEED}", file=sys.stderr)
    moments = random.Random(SEED)
    with Cluster() as cluster, Fleet(postgres=cluster.url, people=FAMILIES + AGREEMENTS) as fleet:
        work = Workload(fleet, SEED)
        from_memory = 0
        for number in range(ROUNDS):
            with work.at_work():
                work.wait_for_more(START_SECONDS)
                # A moment that nobody chose.
                time.sleep(moments.uniform(0.05, 0.8))
                mode = ("immediate", "fast")[number % 2]
                cluster.stop(mode)
                refused = work.refusals.seen[503]
                machines = work.machines[0].told["client_credentials"]
                until("requests are refused", lambda r=refused: work.refusals.seen[503] - r >= REFUSED)
                from_memory += work.machines[0].told["client_credentials"] - machines
                assert (status(fleet, "/livez"), status(fleet, "/readyz")) == (200, 503)
                cluster.start()
                # Nobody does anything to the server.
                work.wait_for_more(START_SECONDS)
            until("it is ready again", lambda: status(fleet, "/readyz") == 200)
            work.compare(fleet.caller())
        work.compare_all(fleet.caller())
        # Not in every outage: what an operator changed a moment before it has to be read again.
        assert from_memory > 0, "client_credentials did not go on"
        assert work.refusals.seen["no answer"] == 0, "the server itself stayed, so everybody was answered"
        print(f"{ROUNDS} outages; {told(work)}", file=sys.stderr)


def a_server_that_hangs_is_one_that_is_away():
    print(f"seed {SEED}", file=sys.stderr)
    with Cluster() as cluster, Fleet(postgres=cluster.url, people=FAMILIES + AGREEMENTS) as fleet:
        work = Workload(fleet, SEED, operator=False)
        with work.at_work():
            work.wait_for_more(START_SECONDS)
            cluster.signal(signal.SIGSTOP)
            try:
                before = work.refusals.seen[503]
                until("requests are refused", lambda: work.refusals.seen[503] - before >= REFUSED)
                assert (status(fleet, "/livez"), status(fleet, "/readyz")) == (200, 503)
                for words in [["doctor"], ["client", "list"]]:
                    command = [starter.BINARY, *words, *fleet.place.flags()]
                    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
                    said = ended.stdout + ended.stderr
                    assert ended.returncode == 1 and "does not answer" in said, (words, said)
            finally:
                cluster.signal(signal.SIGCONT)
            work.wait_for_more(START_SECONDS)
        until("it is ready again", lambda: status(fleet, "/readyz") == 200)
        work.compare_all(fleet.caller())
        assert work.refusals.seen["no answer"] == 0, "the server itself stayed, so everybody was answered"
        print(told(work), file=sys.stderr)


# Writes after PostgreSQL takes them again; each pooled connection that does not would have its turn.
IN_A_ROW = 40


def writes_go_on_after_a_database_was_read_only():
    with Cluster() as cluster, Fleet(postgres=cluster.url) as fleet:
        caller = fleet.caller()
        tokens = begin(fleet, fleet.person())
        # As a service does whose disk is nearly full: new sessions are read-only, and all become new ones.
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'grantor' AND pid <> pg_backend_pid()"
        cluster.query("ALTER ROLE grantor SET default_transaction_read_only = on")
        cluster.query(others)
        access = tokens["access_token"]
        look = lambda _: refused(lambda: fleet.caller().post("/oauth2/v2.0/introspect", "gate", {"token": access}))  # noqa: E731
        with concurrent.futures.ThreadPoolExecutor(16) as many:
            # As many at once as the server has connections, so that each of them begins a session of that time.
            until("it is asked again", lambda: not any(many.map(look, range(200))))
        until("writes are refused", lambda: refused(lambda: caller.refresh(tokens["refresh_token"])))
        back = "ALTER ROLE grantor RESET default_transaction_read_only"
        cluster.query(f"BEGIN READ WRITE; {back}; COMMIT")
        in_a_row, deadline = 0, time.monotonic() + START_SECONDS
        while in_a_row < IN_A_ROW:
            assert time.monotonic() < deadline, "writes are still refused"
            try:
                reply = caller.refresh(tokens["refresh_token"])
            except Unanswered:
                in_a_row = 0
                continue
            assert reply.status_code == 200, reply.text
            tokens, in_a_row = reply.json(), in_a_row + 1


def a_commit_that_nobody_confirms_is_not_acknowledged():
    with Cluster() as cluster, Fleet(postgres=cluster.url) as fleet:
        caller = fleet.caller()
        tokens = begin(fleet, fleet.person())
        cluster.query("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        cluster.query("SELECT pg_reload_conf()")
        until("writes are refused", lambda: refused(lambda: caller.refresh(tokens["refresh_token"])))
        command = [starter.BINARY, "client", "disable", "robot", *fleet.place.flags()]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert ended.returncode == 1 and "not known" in ended.stderr, ended
        (cluster.data / "postgresql.auto.conf").write_text("")
        cluster.control("reload")
        until("writes are taken", lambda: not refused(lambda: caller.refresh(tokens["refresh_token"])))


def refused(act):
    """Whether something ends in 503 with a time to come again; anything else that is no success is a failure."""
    try:
        reply = act()
    except Unanswered:
        return True
    assert reply.status_code == 200, f"{reply.status_code} {reply.text}"
    return False


MAX_AGE = 6


def memory_is_believed_for_as_long_as_configured():
    settings = f'[cache]\nmax_age = "{MAX_AGE}s"\n'
    with Cluster() as cluster, Fleet(postgres=cluster.url, settings=settings) as fleet:
        caller = fleet.caller()
        tokens = begin(fleet, fleet.person())
        access = caller.client_credentials().json()["access_token"]
        cluster.stop("fast")
        assert not refused(caller.client_credentials), "the signature needs no database"
        # What was revoked since could not be known, so nobody guesses.
        for needy in [
            lambda: caller.post("/oauth2/v2.0/introspect", "gate", {"token": access}),
            lambda: caller.refresh(tokens["refresh_token"]),
            lambda: caller.post("/oauth2/v2.0/revoke", "robot", {"token": access}),
            lambda: caller.redeem("grac_unknown", "v" * 43),
            lambda: caller.token("robot", {"grant_type": "client_credentials", "scope": "unknown"}),
        ]:
            assert refused(needy), "it was answered without the database"
        # One second between two looks at the log of changes is counted before it was gone.
        last_seen(lambda: not refused(caller.client_credentials), MAX_AGE + 1)
        cluster.start()
        until("memory is believed again", lambda: not refused(caller.client_credentials))
        assert caller.active(access)
        assert caller.refresh(tokens["refresh_token"]).status_code == 200


if __name__ == "__main__":
    main(
        nothing_told_is_lost_by_outages,
        memory_is_believed_for_as_long_as_configured,
        a_server_that_hangs_is_one_that_is_away,
        writes_go_on_after_a_database_was_read_only,
        a_commit_that_nobody_confirms_is_not_acknowledged,
    )

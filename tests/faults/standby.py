"""The machine with PostgreSQL is lost and its replica takes over: what was told stands there as well.

The replica is synchronous, as docs/deploying.md has it, so that no commit is told before it is on two machines. Servers
reach PostgreSQL at one address that leads to whichever is the primary.
"""

import contextlib
import os
import random
import selectors
import shutil
import socket
import sys
import threading

from cluster import Cluster
from fleet import Fleet
from postgres_away import until
from starter import START_SECONDS, main
from workload import AGREEMENTS, FAMILIES, Workload, told

SEED = os.environ.get("FAULTS_SEED", str(random.randrange(1 << 32)))


class Address:
    """One address before two clusters, as a virtual IP address or a proxy is."""

    def __init__(self, port):
        self.port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.own_port = self._listening.getsockname()[1]
        self._open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near):
        with contextlib.suppress(OSError), near, socket.create_connection(("127.0.0.1", self.port)) as far:
            other = {near: far, far: near}
            self._open.update(other)
            with selectors.DefaultSelector() as ready:
                for end in other:
                    ready.register(end, selectors.EVENT_READ)
                while True:
                    for key, _ in ready.select():
                        data = key.fileobj.recv(65536)
                        if not data:
                            return
                        other[key.fileobj].sendall(data)

    def lead_to(self, port):
        self.port = port

    def close(self):
        self._listening.close()


def replica(primary):
    """A second cluster that follows the first, and without which the first tells no commit."""
    copy = Cluster()
    source = f"{primary.url}?application_name=second"
    how = ["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast"]
    copy.program("pg_basebackup", "--pgdata", str(copy.data), "--dbname", source, *how)
    copy.configure(f"unix_socket_directories = '{copy.folder}'\nsynchronous_standby_names = ''\n")
    copy.start()
    primary.query("ALTER SYSTEM SET synchronous_standby_names = 'second'")
    primary.query("SELECT pg_reload_conf()")
    state = "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'second'"
    until("the replica is synchronous", lambda: primary.query(state) == "sync")
    return copy


def nothing_told_is_lost_when_a_replica_takes_over():
    print(f"seed {SEED}", file=sys.stderr)
    with Cluster() as primary, contextlib.ExitStack() as stack:
        copy = replica(primary)
        stack.callback(copy.__exit__, None)
        address = Address(primary.port)
        stack.callback(address.close)
        url = f"postgres://grantor@127.0.0.1:{address.own_port}/postgres"
        with Fleet(postgres=url, people=FAMILIES + AGREEMENTS) as fleet:
            work = Workload(fleet, SEED)
            with work.at_work():
                work.wait_for_more(START_SECONDS, more=150)
                refused = work.refusals.seen[503]
                # Its disk is gone with it: nothing of it can be asked any more.
                primary.stop("immediate")
                shutil.rmtree(primary.data)
                until("requests are refused", lambda: work.refusals.seen[503] > refused)
                copy.control("promote")
                address.lead_to(copy.port)
                work.wait_for_more(START_SECONDS, more=100)
            work.compare(fleet.caller())
            work.compare_all(fleet.caller())
            print(f"a replica took over; {told(work)}", file=sys.stderr)


if __name__ == "__main__":
    main(nothing_told_is_lost_when_a_replica_takes_over)

"""`kill -9` of a server at random moments: what clients were told holds afterwards, and nothing is there twice.

`FAULTS_KILLS` says how often, `FAULTS_SECONDS` after which time no more in any case, `FAULTS_SEED` repeats the choices
of an earlier run.
"""

import os
import random
import sys
import time

from book import Family, Places, compare, grant_of, hash_of, jti
from fleet import Fleet
from rows import Rows
from starter import ENGINE, POSTGRES, main
from workload import AGREEMENTS, FAMILIES, Workload, told

KILLS = int(os.environ.get("FAULTS_KILLS", "15" if POSTGRES else "35"))
SECONDS = float(os.environ.get("FAULTS_SECONDS", "inf"))
SEED = os.environ.get("FAULTS_SEED", str(random.randrange(1 << 32)))

# The server is let alone for at most so many answers before it is killed.
MOST = 60


def nothing_told_is_lost_by_kills():
    print(f"seed {SEED}", file=sys.stderr)
    moments = random.Random(SEED)
    with Fleet(people=FAMILIES + AGREEMENTS) as fleet:
        work = Workload(fleet, SEED)
        until, kills = time.monotonic() + SECONDS, 0
        while kills < KILLS and time.monotonic() < until:
            with work.at_work() as stop:
                # A moment that nobody chose.
                work.wait_for_answers(moments.randrange(MOST))
                time.sleep(moments.uniform(0, 0.02))
                # What is on its way now is what the kill meets; nothing is begun that could not even be sent.
                stop.set()
                fleet.servers[0].kill()
                operator = work.operators[0].process
                if operator and moments.random() < 0.5:
                    operator.kill()
            fleet.start(0)
            work.compare(fleet.caller())
            kills += 1
            if kills % 50 == 0:
                work.rows.consistent()
                print(f"{kills} kills; {told(work)}", file=sys.stderr)
        work.compare_all(fleet.caller())
        print(f"{kills} kills on {ENGINE}; {told(work)}; lost 0, doubled 0; seed {SEED}", file=sys.stderr)


def a_loss_would_be_noticed():
    with Fleet() as fleet:
        caller, rows, person = fleet.caller(), Rows(fleet.place), fleet.person()

        def told():
            """Two steps along a line, one token revoked alone."""
            answer, verifier = person.ask("app", "read")
            family = Family(Places(), "app", answer["code"], verifier)
            family.redeem(caller)
            family.step(caller, family.heads[-1])
            family.step(caller, family.heads[-1])
            family.revoke_access(caller, next(iter(family.access)))
            return family

        for lost in [
            "DELETE FROM revocations WHERE jti = {jti}",
            "UPDATE codes SET spent_at = NULL WHERE grant_id = {grant}",
            "UPDATE grants SET current = NULL, generation = 0 WHERE id = {grant}",
            "UPDATE grants SET revoked_at = 1 WHERE id = {grant}",
            "DELETE FROM refresh_tokens WHERE grant_id = {grant}",
            "UPDATE refresh_tokens SET hash = {passed} WHERE grant_id = {grant} AND hash = {used}",
        ]:
            family = told()
            compare([family], rows)
            family.check(caller)
            names = {
                "jti": jti(next(iter(family.access))),
                "grant": grant_of(family.heads[-1]),
                "passed": hash_of(family.passed[-1]),
                "used": hash_of(family.used),
            }
            rows.tamper(lost.format(**{name: rows.literal(value) for name, value in names.items()}))
            try:
                compare([family], rows)
            except AssertionError:
                continue
            raise AssertionError(f"this was not noticed: {lost}")
        try:
            rows.consistent()
        except AssertionError:
            return
        raise AssertionError("half a revocation was not noticed")


if __name__ == "__main__":
    main(a_loss_would_be_noticed, nothing_told_is_lost_by_kills)

"""`kill -9` of a server at random moments: what clients were told holds afterwards, and nothing is there twice.

`FAULTS_KILLS` says how often, `FAULTS_SEED` repeats the choices of an earlier run.
"""

import os
import random
import sys
import time

from fleet import Fleet
from starter import ENGINE, POSTGRES, main
from workload import AGREEMENTS, FAMILIES, Workload, told

KILLS = int(os.environ.get("FAULTS_KILLS", "15" if POSTGRES else "35"))
SEED = os.environ.get("FAULTS_SEED", str(random.randrange(1 << 32)))

# The server is let alone for at most so many answers before it is killed.
MOST = 60


def nothing_told_is_lost_by_kills():
    print(f"seed {SEED}", file=sys.stderr)
    moments = random.Random(SEED)
    with Fleet(people=FAMILIES + AGREEMENTS) as fleet:
        work = Workload(fleet, SEED)
        for number in range(KILLS):
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
            if number % 50 == 49:
                work.rows.consistent()
                print(f"{number + 1} kills; {told(work)}", file=sys.stderr)
        work.compare_all(fleet.caller())
        print(f"{KILLS} kills on {ENGINE}; {told(work)}; lost 0, doubled 0; seed {SEED}", file=sys.stderr)


if __name__ == "__main__":
    main(nothing_told_is_lost_by_kills)

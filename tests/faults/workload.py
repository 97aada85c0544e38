"""Clients, people and operators at work at the same time, all of whom take down what they were told.

    work = Workload(fleet, seed)
    with work.at_work():
        ...                        # break something
    work.compare(caller)           # what they were told against what is there now
"""

import collections
import concurrent.futures
import contextlib
import json
import random
import subprocess
import threading
import time

from book import Agreement, Family, Places, compare, jti
from calls import Caller, Refusals, Unanswered, at_the_browser, claims, place_in_list, until_answered
from rows import Rows
from starter import BINARY, last_seen

FAMILIES, AGREEMENTS = 3, 2

# An authorization is left alone after so many operations, so that old ones can be looked at again.
GROWN = 8

# An administrative change reaches a running server within this many seconds.
FOLLOWED_WITHIN = 2

# A revocation is in the published status list after this many.
PUBLISHED_WITHIN = 10

# For which a server is let alone at most, in seconds.
LONGEST = 5

# Old entries that are looked at again after each fault.
SAMPLE = 6


def groups(caller):
    """The groups that a token of the moment carries."""
    reply = caller.client_credentials()
    assert reply.status_code == 200, reply.text
    return claims(reply.json()["access_token"]).get("groups", [])


def check_each(families, caller):
    for family in families:
        until_answered(family.check, caller)


def told(work):
    """How much of what was answered, and how much was not, in one line."""
    counts = {**dict(sorted(work.told().items())), **work.refusals.seen}
    return ", ".join(f"{name} {count}" for name, count in counts.items())


class Worker:
    """One thread's work. What is in doubt is settled before anything new is done."""

    def __init__(self, work, number):
        self.work = work
        self.random = random.Random(f"{work.seed} {type(self).__name__} {number}")
        self.caller = Caller(work.fleet.public_url, work.fleet.made, work.fleet.verify, work.refusals)
        self.told = collections.Counter()
        self.answered = 0

    def count(self, what):
        self.told[what] += 1
        self.answered += 1

    def run(self, stop):
        while not stop.is_set():
            try:
                if not self.settle():
                    self.act()
            except Unanswered:
                # Whoever is told to come again does not come at once.
                stop.wait(0.02)

    def settle(self):
        """Settles one doubt; answers whether there was one."""
        entry = next((entry for entry in self.entries() if entry.doubt), None)
        if entry is None:
            return False
        what = entry.doubt[0]
        entry.settle(self.caller)
        self.count(f"settled {what}")
        return True

    def entries(self):
        return []


class Clients(Worker):
    """Redeems codes, goes along lines of refresh tokens, replays, revokes."""

    def __init__(self, work, number):
        super().__init__(work, number)
        self.person = work.fleet.person(number)
        self.growing = []
        self.touched = []

    def entries(self):
        return self.growing

    def act(self):
        if len(self.growing) < 3 or self.random.random() < 0.1:
            self.begin()
        else:
            self.go_on(self.random.choice(self.growing))

    def begin(self):
        answer, verifier = at_the_browser(self.work.refusals, self.person.ask, "app", "read")
        family = Family(self.work.places, "app", answer["code"], verifier)
        self.growing.append(family)
        self.touched.append(family)
        family.redeem(self.caller)
        self.count("codes redeemed")

    def go_on(self, family):
        if family not in self.touched:
            self.touched.append(family)
        alive = [token for token, revoked in family.access.items() if not revoked]
        choices = [("refresh tokens rotated", 60, lambda: family.step(self.caller, self.random.choice(family.heads)))]
        if family.used:
            choices.append(("refresh tokens repeated", 10, lambda: family.repeat(self.caller)))
        if family.passed:
            old = self.random.choice(family.passed)
            choices.append(("replays refused", 4, lambda: family.replay(self.caller, old)))
        if alive:
            token = self.random.choice(alive)
            choices.append(("access tokens revoked", 12, lambda: family.revoke_access(self.caller, token)))
        choices.append(("second redemptions refused", 3, lambda: family.redeem_again(self.caller)))
        choices.append(("authorizations revoked", 8, lambda: family.revoke(self.caller)))
        name, _, act = self.random.choices(choices, [weight for _, weight, _ in choices])[0]
        # Left alone before it: an unanswered one stays until its doubt is settled.
        act()
        self.count(name)
        if family.dead or len(family.access) >= GROWN:
            self.leave(family)

    def settle(self):
        settled = super().settle()
        for family in [family for family in self.growing if family.dead and not family.doubt]:
            self.leave(family)
        return settled

    def leave(self, family):
        self.growing.remove(family)
        self.work.families.append(family)


class People(Worker):
    """Says yes to an application and takes it back."""

    def __init__(self, work, number):
        super().__init__(work, number)
        self.agreement = Agreement(work.places, work.fleet.person(FAMILIES + number), "third", work.refusals)
        self.touched = []

    def entries(self):
        family = self.agreement.family
        return [self.agreement] if self.agreement.doubt or (family and family.doubt) else []

    def settle(self):
        if not self.entries():
            return False
        what = (self.agreement.doubt or self.agreement.family.doubt)[0]
        self.agreement.settle(self.caller)
        self.count(f"settled {what}")
        self.note()
        return True

    def note(self):
        family = self.agreement.family
        if family and family not in self.touched:
            self.touched.append(family)

    def act(self):
        agreement = self.agreement
        try:
            if not agreement.given:
                agreement.approve(self.caller)
                self.count("consents given")
            elif self.random.random() < 0.5 and not agreement.family.dead:
                agreement.family.step(self.caller, agreement.family.heads[-1])
                self.count("refresh tokens rotated")
            else:
                agreement.withdraw()
                self.count("consents withdrawn")
        finally:
            self.note()


class Machines(Worker):
    """Gets tokens by client_credentials and revokes some."""

    def __init__(self, work, number):
        super().__init__(work, number)
        self.revoked, self.kept = [], collections.deque(maxlen=200)
        # Whose revocation was not answered: it is done again, as a client would, and other work goes on meanwhile.
        self.doubtful = []

    def act(self):
        if self.doubtful and self.random.random() < 0.5:
            self.revoke(self.doubtful[-1])
            return
        reply = self.caller.client_credentials()
        assert reply.status_code == 200, f"{reply.status_code} {reply.text}"
        token = reply.json()["access_token"]
        self.work.places.take(token)
        self.count("client_credentials")
        if self.random.random() < 0.15:
            self.doubtful.append(token)
            self.revoke(token)
        elif self.random.random() < 0.1:
            self.kept.append(token)

    def revoke(self, token):
        self.caller.revoke(token, "robot")
        self.doubtful.remove(token)
        self.revoked.append(token)
        self.count("access tokens revoked")


class Operator(Worker):
    """Changes memberships and secrets by the command line, which may be killed as well."""

    def __init__(self, work, number):
        super().__init__(work, number)
        self.member = False
        self.secrets = []
        self.unknown = False
        self.process = None

    def act(self):
        if self.unknown:
            self.look()
        if len(self.secrets) > 3 or self.random.random() < 0.8:
            self.unknown = True
            self.command("group", "remove" if self.member else "add", "crew", "--client", "robot")
            self.member, self.unknown = not self.member, False
        else:
            self.secrets.append(json.loads(self.command("client", "secret", "add", "robot"))["client_secret"])
        self.count("administrative changes")

    def command(self, *arguments):
        place = self.work.fleet.place
        self.process = subprocess.Popen(
            [BINARY, *arguments, *place.flags(), "--json"],
            cwd=place.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        out, err = self.process.communicate()
        if self.process.returncode != 0:
            killed = self.process.returncode < 0
            assert killed or "database" in err, f"{arguments} ended with {self.process.returncode}: {err}"
            self.work.refusals.note("command killed" if killed else "command failed")
            raise Unanswered(err)
        return out

    def look(self):
        """What became of a command that was killed."""
        try:
            found = self.work.rows.query("SELECT COUNT(*) FROM group_clients")
        except AssertionError as error:
            # The database itself is asked, and it may be what is away.
            raise Unanswered(str(error)) from None
        self.member, self.unknown = found[0][0] > 0, False


class Workload:
    """All of them."""

    def __init__(self, fleet, seed, operator=True):
        self.fleet, self.seed = fleet, seed
        self.refusals, self.places = Refusals(), Places()
        self.rows = Rows(fleet.place)
        # Authorizations that are left alone by now.
        self.families = []
        self.clients = [Clients(self, number) for number in range(FAMILIES)]
        self.people = [People(self, number) for number in range(AGREEMENTS)]
        self.machines = [Machines(self, 0)]
        self.operators = [Operator(self, 0)] if operator else []
        self.workers = [*self.clients, *self.people, *self.machines, *self.operators]
        self.working = []
        self.random = random.Random(f"{seed} workload")
        # Passwords are slow on purpose; sessions are kept.
        for worker in self.clients:
            worker.person.sign_in()
        for worker in self.people:
            worker.agreement.person.sign_in()

    @contextlib.contextmanager
    def at_work(self):
        """Everybody works until the block ends, or the event that it is handed is set; then what went wrong for one of
        them is raised."""
        stop = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(len(self.workers)) as pool:
            self.working = [pool.submit(worker.run, stop) for worker in self.workers]
            try:
                yield stop
            finally:
                stop.set()
            for done in self.working:
                done.result()

    def answered(self):
        return sum(worker.answered for worker in self.workers)

    def told(self):
        return sum((worker.told for worker in self.workers), collections.Counter())

    def wait_for_answers(self, more):
        """Until that many operations more were answered, whoever's, or a slow machine had time enough."""
        start = self.answered()
        deadline = time.monotonic() + LONGEST
        while self.answered() - start < more and time.monotonic() < deadline:
            time.sleep(0.002)

    def wait_for_more(self, seconds, more=20):
        """Until that many operations more were answered: whatever was broken works again for everybody."""
        start = {worker: worker.answered for worker in self.workers}
        deadline = time.monotonic() + seconds
        while any(worker.answered == start[worker] for worker in self.workers) or (
            self.answered() - sum(start.values()) < more
        ):
            for ended in self.working:
                if ended.done():
                    # Nobody ends by himself but by a failure, which would look like a server that does not answer.
                    ended.result()
            waiting = [type(worker).__name__ for worker in self.workers if worker.answered == start[worker]]
            assert time.monotonic() < deadline, f"{waiting or 'too few'} were not answered again within {seconds} s"
            time.sleep(0.05)

    def settle(self):
        for worker in self.workers:
            while until_answered(worker.settle):
                pass

    def compare(self, caller):
        """What was told since the last time against what is there, and a sample of what was told before."""
        self.settle()
        fresh = [family for worker in [*self.clients, *self.people] for family in worker.touched]
        families = [family for family in fresh if not family.doubt]
        old = self.random.sample(self.families, min(SAMPLE, len(self.families)))
        compare([*families, *old], self.rows)
        for family in [*self.random.sample(families, min(SAMPLE, len(families))), *old]:
            until_answered(family.check, caller)
        for person in self.people:
            until_answered(person.agreement.check)
        for machine in self.machines:
            for token in self.random.sample(machine.revoked, min(SAMPLE, len(machine.revoked))):
                assert not until_answered(caller.active, token), "a revoked token is active"
            for token in self.random.sample(list(machine.kept), min(SAMPLE, len(machine.kept))):
                assert until_answered(caller.active, token), "a good token is not active"
        self.compare_administration(caller)
        for worker in [*self.clients, *self.people]:
            worker.touched = []

    def compare_administration(self, caller):
        for operator in self.operators:
            if operator.unknown:
                operator.look()
            expected = ["crew"] if operator.member else []
            last_seen(lambda expected=expected: until_answered(groups, caller) != expected, FOLLOWED_WITHIN)
            for secret in operator.secrets:
                other = Caller(caller.base, {"robot": secret}, self.fleet.verify)
                assert until_answered(other.client_credentials).status_code == 200, "a secret is lost"

    def compare_all(self, caller):
        """Everything that was ever told, and that the published lists agree."""
        everybody = [*self.families, *(family for client in self.clients for family in client.growing)]
        compare(everybody, self.rows)
        callers = [Caller(caller.base, caller.made, self.fleet.verify) for _ in range(4)]
        with concurrent.futures.ThreadPoolExecutor(len(callers)) as pool:
            shares = [everybody[turn :: len(callers)] for turn in range(len(callers))]
            for done in [pool.submit(check_each, share, at) for share, at in zip(shares, callers, strict=True)]:
                done.result()
        self.rows.consistent()
        for machine in self.machines:
            wanted = [jti(token) for token in machine.revoked]
            held = {row[0] for row in self.rows.among("SELECT jti FROM revocations WHERE", "jti", wanted)}
            assert held == {each.bytes for each in wanted}, "a revocation is lost"
            self.compare_lists(caller, machine)

    def compare_lists(self, caller, machine):
        """The published lists have the bits of those that were revoked, and not of others."""
        if machine.revoked:
            last = place_in_list(machine.revoked[-1])
            last_seen(lambda: not until_answered(caller.revoked_in_list, last), PUBLISHED_WITHIN)
        lists = {}
        for tokens, expected in ((machine.revoked, True), (machine.kept, False)):
            for token in tokens:
                uri, index = place_in_list(token)
                bits = lists.get(uri) or lists.setdefault(uri, until_answered(caller.status_list, uri))
                assert (bits[index // 8] >> (index % 8) & 1 == 1) == expected, f"{uri} says otherwise at {index}"

"""Single-use things used by many at once, through three servers and the nginx before them."""

import concurrent.futures
import threading

from fleet import Fleet
from lines import begin
from starter import main

ROUNDS = 8
AT_ONCE = 12


def at_once(fleet, act):
    """Lets `act` be done by many at the same moment, each through another door; hands back their answers."""
    doors = [None, *range(len(fleet.servers))]
    together = threading.Barrier(AT_ONCE)

    def one(number):
        caller = fleet.caller(doors[number % len(doors)])
        # A connection that stands already, so that nobody comes late.
        caller.keys()
        together.wait(30)
        return act(caller, number)

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(AT_ONCE)))


def split(replies):
    """Those that were answered, and that all others were refused as they should be."""
    good = [reply.json() for reply in replies if reply.status_code == 200]
    for reply in replies:
        if reply.status_code != 200:
            assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant"), reply.text
    return good


def everywhere(fleet, token, active, client="gate"):
    for number, caller in enumerate(fleet.callers()):
        assert caller.active(token, client) == active, f"server {number} says otherwise"


def one_code_is_redeemed_once(fleet, person):
    for _ in range(ROUNDS):
        answer, verifier = person.ask("app", "read")
        good = split(at_once(fleet, lambda caller, _, a=answer, v=verifier: caller.redeem(a["code"], v)))
        assert len(good) == 1, f"{len(good)} of {AT_ONCE} redeemed the code"
        # RFC 6749 §4.1.2: those who came second ended what the first one got.
        everywhere(fleet, good[0]["access_token"], False)
        split([caller.refresh(good[0]["refresh_token"]) for caller in fleet.callers()])
        assert not split([fleet.caller().refresh(good[0]["refresh_token"])])
    alone = begin(fleet, person)
    everywhere(fleet, alone["access_token"], True)
    assert fleet.caller().refresh(alone["refresh_token"]).status_code == 200


def one_refresh_token_has_many_unused_successors_and_one_used(fleet, person):
    for _ in range(ROUNDS):
        first = begin(fleet, person)
        good = split(at_once(fleet, lambda caller, _, f=first: caller.refresh(f["refresh_token"])))
        # As long as none of them is used, each may be an answer that was lost.
        assert len(good) == AT_ONCE, f"{len(good)} of {AT_ONCE} were answered"
        assert len({each["refresh_token"] for each in good}) == AT_ONCE
        chosen, other = good[0], good[-1]
        used = split([fleet.caller(1).refresh(chosen["refresh_token"])])
        assert len(used) == 1, "the first of them that is used is answered"
        everywhere(fleet, used[0]["access_token"], True)
        everywhere(fleet, other["refresh_token"], False, client="app")
        # Another one is a replay now, and ends the family.
        assert not split([fleet.caller(2).refresh(other["refresh_token"])])
        for token in [first, *good, *used]:
            everywhere(fleet, token["access_token"], False)
        assert not split([fleet.caller(0).refresh(used[0]["refresh_token"])])


def two_successors_used_at_once_end_the_family(fleet, person):
    for _ in range(ROUNDS):
        first = begin(fleet, person)
        pair = [fleet.caller(number).refresh(first["refresh_token"]).json() for number in (0, 1)]
        replies = at_once(
            fleet, lambda caller, number, p=pair: (number % 2, caller.refresh(p[number % 2]["refresh_token"]))
        )
        split([reply for _, reply in replies])
        winners = {which for which, reply in replies if reply.status_code == 200}
        assert len(winners) == 1, f"{winners} were both used"
        for token in [first, *pair, *(reply.json() for _, reply in replies if reply.status_code == 200)]:
            everywhere(fleet, token["access_token"], False)


def single_use_holds_across_servers():
    with Fleet(servers=3, balanced=True) as fleet:
        person = fleet.person()
        one_code_is_redeemed_once(fleet, person)
        one_refresh_token_has_many_unused_successors_and_one_used(fleet, person)
        two_successors_used_at_once_end_the_family(fleet, person)


if __name__ == "__main__":
    main(single_use_holds_across_servers)

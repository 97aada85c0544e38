"""What one server or the command line changes, the other servers know soon: within what the documentation promises."""

from calls import Caller, part, place_in_list
from fleet import Fleet
from starter import last_seen, main
from workload import FOLLOWED_WITHIN, PUBLISHED_WITHIN, groups


def token(caller):
    reply = caller.client_credentials()
    assert reply.status_code == 200, reply.text
    return reply.json()["access_token"]


def until_all(fleet, probe):
    """Asks every server, by a caller of its own, until each says yes to a question that was asked in time."""
    callers = fleet.callers()
    for caller in callers:
        last_seen(lambda caller=caller: not probe(caller), FOLLOWED_WITHIN)


def a_disabled_client_is_refused(fleet):
    fleet.place.cli("client", "disable", "robot")
    until_all(fleet, lambda caller: caller.client_credentials().status_code == 401)
    fleet.place.cli("client", "enable", "robot")
    for caller in fleet.callers():
        # A refusal looks at the log of changes once more, so what is allowed now is allowed at once.
        token(caller)


def a_secret_that_was_added_is_taken_and_one_that_was_retired_is_not(fleet):
    added = fleet.place.cli("client", "secret", "add", "robot")
    made = {"robot": added["client_secret"]}
    for number in range(len(fleet.servers)):
        token(Caller(fleet.caller(number).base, made))
    fleet.place.cli("client", "secret", "retire", "robot", added["secret_id"])
    until_all(fleet, lambda caller: Caller(caller.base, made).client_credentials().status_code == 401)
    for caller in fleet.callers():
        token(caller)


def a_membership_is_stamped(fleet):
    assert [groups(caller) for caller in fleet.callers()] == [[]] * 3
    fleet.place.cli("group", "add", "crew", "--client", "robot")
    until_all(fleet, lambda caller: groups(caller) == ["crew"])
    fleet.place.cli("group", "remove", "crew", "--client", "robot")
    until_all(fleet, lambda caller: groups(caller) == [])


def a_new_key_is_published_and_signs(fleet):
    before = {part(token(caller), 0)["kid"] for caller in fleet.callers()}
    assert len(before) == 1, "all sign with the same key"
    fleet.place.cli("key", "rotate", "--now")
    signing = {key["kid"] for key in fleet.place.cli("key", "list") if key["state"] == "signing"}
    assert signing and not signing & before
    until_all(fleet, lambda caller: signing <= caller.keys() and part(token(caller), 0)["kid"] in signing)
    for caller in fleet.callers():
        assert before <= caller.keys(), "the old key stays published"


def a_revocation_is_known(fleet):
    callers = fleet.callers()
    first, second = token(callers[0]), token(callers[1])
    for caller in callers:
        assert caller.active(first) and caller.active(second)
        assert not caller.revoked_in_list(place_in_list(first))
    callers[0].revoke(first, "robot")
    for caller in callers:
        assert not caller.active(first), "introspection is never answered from memory"
        assert caller.active(second)
    for caller in callers:
        last_seen(lambda caller=caller: not caller.revoked_in_list(place_in_list(first)), PUBLISHED_WITHIN)
        assert not caller.revoked_in_list(place_in_list(second))


def changes_reach_every_server():
    with Fleet(servers=3) as fleet:
        for caller in fleet.callers():
            token(caller)
        a_disabled_client_is_refused(fleet)
        a_secret_that_was_added_is_taken_and_one_that_was_retired_is_not(fleet)
        a_membership_is_stamped(fleet)
        a_new_key_is_published_and_signs(fleet)
        a_revocation_is_known(fleet)


if __name__ == "__main__":
    main(changes_reach_every_server)

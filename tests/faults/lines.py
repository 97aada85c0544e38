"""One client with one line of refresh tokens, for tests in which one thing at a time happens."""

from calls import Unanswered
from rows import Rows

# Far more writes than fit into what SQLite has in reserve.
WRITES = 4000


def begin(fleet, person):
    """An authorization whose code was redeemed by one alone."""
    answer, verifier = person.ask("app", "read")
    reply = fleet.caller().redeem(answer["code"], verifier)
    assert reply.status_code == 200, reply.text
    return reply.json()


def first_refusal(act):
    """Repeats a write until it is refused; hands back how the refusal reads."""
    for _ in range(WRITES):
        try:
            reply = act()
        except Unanswered as refusal:
            return str(refusal)
        assert reply.status_code == 200, f"{reply.status_code} {reply.text}"
    raise AssertionError(f"{WRITES} writes were answered")


class Line:
    """A refresh token that goes on to its successor with every answer."""

    def __init__(self, fleet):
        self.caller = fleet.caller()
        tokens = begin(fleet, fleet.person())
        self.head, self.access = tokens["refresh_token"], [tokens["access_token"]]

    def step(self):
        reply = self.caller.refresh(self.head)
        if reply.status_code == 200:
            self.head = reply.json()["refresh_token"]
            self.access.append(reply.json()["access_token"])
        return reply


def still_good(fleet, line):
    """Everything that was told holds, and the server works."""
    caller = fleet.caller()
    assert line.step().status_code == 200
    for token in line.access[-20:]:
        assert caller.active(token)
    Rows(fleet.place).consistent()

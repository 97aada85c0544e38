"""The book of what clients were told: one entry for each authorization, consent and token, and what must hold for it.

An operation that was answered must hold from then on. One that was not may have happened or not, though not by half:
`settle` finds out which, as the client would, and from then on it must stay so.
"""

import base64
import contextlib
import hashlib
import uuid

from calls import Unanswered, at_the_browser, claims, place_in_list


def grant_of(refresh_token):
    """The authorization that a refresh token names."""
    return uuid.UUID(bytes=_bytes(refresh_token)[:16])


def hash_of(refresh_token):
    return hashlib.sha256(_bytes(refresh_token)).digest()


def _bytes(refresh_token):
    text = refresh_token.removeprefix("grrt_")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jti(access_token):
    return uuid.UUID(claims(access_token)["jti"])


class Entry:
    """Something that clients were told about. `doubt` is the operation whose answer did not come."""

    doubt = None

    @contextlib.contextmanager
    def doubting(self, *operation):
        """While an operation is under way nobody knows whether it happened."""
        self.doubt = operation
        yield
        self.doubt = None


class Family(Entry):
    """An authorization: its code, its line of refresh tokens, its access tokens."""

    def __init__(self, places, client, code, verifier):
        self.places = places
        self.client, self.code, self.verifier = client, code, verifier
        self.redeemed = False
        self.dead = False
        # The refresh token that was used last, those that came from it, and those that the line went past.
        self.used, self.heads, self.passed = None, [], []
        # Access tokens, and whether each was revoked alone.
        self.access = {}

    def adopt(self, reply):
        """Takes down what came for a code or a refresh token."""
        assert reply.status_code == 200, f"{self.told()}: {reply.status_code} {reply.text}"
        told = reply.json()
        self.places.take(told["access_token"])
        self.access[told["access_token"]] = False
        self.heads.append(told["refresh_token"])

    def end(self, reply=None):
        if reply is not None:
            assert reply.status_code == 400 and reply.json()["error"] == "invalid_grant", reply.text
        self.dead = True

    def told(self):
        return f"authorization with {len(self.access)} access tokens, line {len(self.passed)}+{len(self.heads)}"

    # --- what a client does ---

    def redeem(self, caller):
        with self.doubting("redeem"):
            self.adopt(caller.redeem(self.code, self.verifier, self.client))
            self.redeemed = True

    def step(self, caller, head):
        """Uses a refresh token that came from the last one used."""
        with self.doubting("step", head):
            reply = caller.refresh(head, self.client)
            self.passed += [self.used] if self.used else []
            self.passed += [other for other in self.heads if other != head]
            self.used, self.heads = head, []
            self.adopt(reply)

    def repeat(self, caller):
        """Uses the last one again, as after a lost answer: there is another successor then."""
        with self.doubting("repeat"):
            self.adopt(caller.refresh(self.used, self.client))

    def replay(self, caller, old):
        """Uses one that the line went past: that ends the family."""
        with self.doubting("replay", old):
            self.end(caller.refresh(old, self.client))

    def redeem_again(self, caller):
        with self.doubting("redeem again"):
            self.end(caller.redeem(self.code, self.verifier, self.client))

    def revoke_access(self, caller, token):
        with self.doubting("revoke access", token):
            caller.revoke(token, self.client)
            self.access[token] = True

    def revoke(self, caller):
        with self.doubting("revoke"):
            caller.revoke(self.heads[-1], self.client)
            self.end()

    # --- what became of it ---

    def settle(self, caller):
        """After an operation without an answer: finds out what became of it, by the rules that clients may rely on."""
        what, *arguments = self.doubt
        if what == "redeem":
            reply = caller.redeem(self.code, self.verifier, self.client)
            if reply.status_code == 200:
                self.adopt(reply)
                self.redeemed = True
            else:
                # It was spent, and nobody holds what came of it: asking again ended that.
                self.end(reply)
        elif what == "step":
            # docs/tokens.md: a token whose answer was lost is answered again.
            self.step(caller, *arguments)
        elif what == "repeat":
            self.repeat(caller)
        elif what == "revoke access":
            self.access[arguments[0]] = not caller.active(arguments[0])
        elif not caller.active(self.heads[-1], self.client):
            self.end()
        self.doubt = None

    def check(self, caller):
        """Asks the server about everything that was told."""
        for token, revoked in self.access.items():
            active = caller.active(token)
            assert active == (not revoked and not self.dead), f"active={active}, revoked={revoked}, dead={self.dead}"
        for token in self.heads[-2:] + ([self.used] if self.used else []):
            active = caller.active(token, self.client)
            assert active == (not self.dead), f"refresh token: active={active}, dead={self.dead}; {self.told()}"
        for token in self.passed[-2:]:
            assert not caller.active(token, self.client), f"a token is active that the line went past; {self.told()}"
        if self.dead and self.heads:
            reply = caller.refresh(self.heads[-1], self.client)
            assert reply.status_code == 400, f"a dead authorization brought forth a token: {reply.text}"


def compare(families, rows):
    """Compares many with the database, in a few queries."""
    known = {grant_of(family.heads[-1]).bytes: family for family in families if family.heads}
    names = [uuid.UUID(bytes=name) for name in known]
    grants = {
        row[0]: row[1:]
        for row in rows.among("SELECT id, generation, current, revoked_at FROM grants WHERE", "id", names)
    }
    tokens = {}
    for grant, hashed in rows.among("SELECT grant_id, hash FROM refresh_tokens WHERE", "grant_id", names):
        tokens.setdefault(grant, set()).add(hashed)
    jtis = {token: jti(token) for family in families for token in family.access}
    revoked = {row[0] for row in rows.among("SELECT jti FROM revocations WHERE", "jti", jtis.values())}
    codes = [hashlib.sha256(family.code.encode()).digest() for family in families]
    spent = dict(rows.among("SELECT hash, spent_at FROM codes WHERE", "hash", codes))
    for name, family in known.items():
        assert name in grants, f"an authorization is lost; {family.told()}"
        _, current, revoked_at = grants[name]
        assert (revoked_at is not None) == family.dead, f"revoked_at={revoked_at}, dead={family.dead}"
        assert current == (hash_of(family.used) if family.used else None), f"the line is not there; {family.told()}"
        held = tokens.get(name, set())
        assert {hash_of(head) for head in family.heads} <= held, f"a refresh token is lost; {family.told()}"
        assert not {hash_of(old) for old in family.passed} & held, f"a used refresh token came back; {family.told()}"
        for token, alone in family.access.items():
            found = jtis[token].bytes in revoked
            assert found == (alone or family.dead), f"revoked={found}, told {alone} and dead={family.dead}"
    for family, code in zip(families, codes, strict=True):
        assert code in spent, "a code is lost"
        if family.redeemed or family.dead:
            assert spent[code] is not None, "a code is unspent that was redeemed"


class Places:
    """Every place in a status list that a token was seen with: none twice."""

    def __init__(self):
        self.seen = {}

    def take(self, token):
        place = place_in_list(token)
        before = self.seen.setdefault(place, jti(token))
        assert before == jti(token), f"two tokens have the place {place}"


class Agreement(Entry):
    """What one person lets one client do, and the authorization that came of it."""

    def __init__(self, places, person, client, refusals):
        self.places, self.client, self.refusals = places, client, refusals
        self.person = person
        self.given = False
        self.family = None

    def ask(self, **more):
        answer, verifier = at_the_browser(self.refusals, self.person.ask, self.client, "read", **more)
        return answer, verifier

    def approve(self, caller):
        with self.doubting("approve"):
            answer, verifier = self.ask()
            self.given = True
        self.begin(caller, answer, verifier)

    def begin(self, caller, answer, verifier):
        self.family = Family(self.places, self.client, answer["code"], verifier)
        self.family.redeem(caller)

    def withdraw(self):
        with self.doubting("withdraw"):
            reply = at_the_browser(self.refusals, self.person.withdraw, self.client)
            if reply.status_code >= 500:
                raise Unanswered(reply.text)
            assert reply.status_code == 200, f"{reply.status_code} {reply.text}"
            self.withdrawn()

    def withdrawn(self):
        self.given = False
        if self.family:
            self.family.dead = True

    def settle(self, caller):
        if self.family and self.family.doubt and self.doubt is None:
            return self.family.settle(caller)
        what = self.doubt[0]
        answer, verifier = self.ask(prompt="none")
        self.doubt = None
        if "code" not in answer:
            assert answer["error"] == "consent_required", answer
            self.withdrawn()
        elif what == "approve":
            self.given = True
            self.begin(caller, answer, verifier)

    def check(self):
        answer, _ = self.ask(prompt="none")
        assert ("code" in answer) == self.given, f"given={self.given}, answered {answer.get('error')}"

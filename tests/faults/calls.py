"""Requests as clients send them, with what may come back while something is broken."""

import base64
import collections
import json
import threading
import time
import zlib

import requests
from browserless import Astray, redemption
from starter import START_SECONDS

API = "https://api.example.com"

# Longer than the server may take for anything; who waits for longer is hanging.
PATIENCE = 20


class Unanswered(Exception):
    """Nobody knows whether it happened: no answer, or one that says that the server could not do its work."""


def until_answered(act, *arguments):
    """Does what may be done twice until it is answered: a server on a busy machine says 503 now and then."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return act(*arguments)
        except Unanswered:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


class Refusals:
    """How often requests were not answered, by what came instead."""

    def __init__(self):
        self._lock = threading.Lock()
        self.seen = collections.Counter()

    def note(self, what):
        with self._lock:
            self.seen[what] += 1


class Caller:
    """The clients of a fleet, at one address. One thread at a time uses it; its connection is kept alive."""

    def __init__(self, base, made, verify=True, refusals=None):
        self.base = base
        self.made = made
        self.refusals = refusals or Refusals()
        self.session = requests.Session()
        self.session.verify = verify

    def send(self, method, path, **options):
        """One request; an answer that says anything about the request itself, or `Unanswered`."""
        try:
            reply = self.session.request(
                method, f"{self.base}{path}", timeout=PATIENCE, allow_redirects=False, **options
            )
        except requests.Timeout:
            raise AssertionError(f"{method} {path} was not answered within {PATIENCE} s") from None
        except requests.RequestException as error:
            self.refusals.note("no answer")
            raise Unanswered(str(error)) from None
        checked(reply, self.refusals)
        return reply

    def post(self, path, client, form):
        return self.send("POST", path, data=form, auth=(client, self.made[client]))

    def token(self, client, form):
        return self.post("/oauth2/v2.0/token", client, form)

    def client_credentials(self, client="robot"):
        return self.token(client, {"grant_type": "client_credentials", "scope": f"{API}/.default"})

    def redeem(self, code, verifier, client="app"):
        return self.token(client, redemption(code, verifier))

    def refresh(self, refresh_token, client="app"):
        return self.token(client, {"grant_type": "refresh_token", "refresh_token": refresh_token})

    def revoke(self, token, client="app"):
        reply = self.post("/oauth2/v2.0/revoke", client, {"token": token})
        assert reply.status_code == 200, reply.text

    def active(self, token, client="gate"):
        reply = self.post("/oauth2/v2.0/introspect", client, {"token": token})
        assert reply.status_code == 200, reply.text
        return reply.json()["active"]

    def keys(self):
        return {key["kid"] for key in self.send("GET", "/jwks").json()["keys"]}

    def status_list(self, uri):
        """The bits of a published status list."""
        reply = self.send("GET", f"/statuslists/{uri.rsplit('/', 1)[1]}")
        assert reply.status_code == 200, reply.text
        listed = part(reply.text, 1)["status_list"]["lst"]
        return zlib.decompress(base64.urlsafe_b64decode(listed + "=" * (-len(listed) % 4)))

    def revoked_in_list(self, place):
        """Whether the published status list has the bit of a token set."""
        uri, index = place
        return self.status_list(uri)[index // 8] >> (index % 8) & 1 == 1


def checked(reply, refusals):
    """A server that cannot do its work says 503 and when to come again, and never anything else."""
    if reply.status_code < 500:
        return
    refusals.note(reply.status_code)
    assert reply.status_code == 503, f"{reply.url} answered {reply.status_code}: {reply.text}"
    assert int(reply.headers["Retry-After"]) > 0, reply.headers
    raise Unanswered(reply.text)


def part(jwt, number):
    """Header (0) or claims (1) of a JWT, as they stand there."""
    text = jwt.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def claims(jwt):
    return part(jwt, 1)


def place_in_list(jwt):
    place = claims(jwt)["status"]["status_list"]
    return place["uri"], place["idx"]


def at_the_browser(refusals, act, *arguments, **options):
    """What a person does; `Unanswered` where the server did not answer or said that it could not."""
    try:
        return act(*arguments, **options)
    except requests.Timeout:
        raise AssertionError(f"a page did not come within {PATIENCE} s") from None
    except requests.RequestException as error:
        refusals.note("no answer")
        raise Unanswered(str(error)) from None
    except Astray as astray:
        checked(astray.reply, refusals)
        raise

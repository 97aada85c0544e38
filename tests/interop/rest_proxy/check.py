"""A Kafka REST proxy as HDInsight has it: a resource server that checks signature, audience and group membership.

It knows the issuer and nothing of ours; a client is let in by putting it into a group.
"""

import contextlib
import http.server
import json
import threading

import jwt
import requests
from starter import Server, last_seen, main

AUDIENCE = "https://hib.azurehdinsight.net"
GROUP = "kafka-rest"

# A change of groups must show in new tokens after this many seconds.
LET_IN_WITHIN = 2


class Refused(Exception):
    """With the status to answer."""


def authorize(header, issuer, keys):
    """What the proxy does with the Authorization header of each request."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer":
        raise Refused(401)
    try:
        key = keys.get_signing_key_from_jwt(token)
        claims = jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=issuer)
    except jwt.PyJWTError:
        raise Refused(401) from None
    if GROUP not in claims.get("groups", []):
        raise Refused(403)
    return claims


@contextlib.contextmanager
def rest_proxy(issuer):
    """The proxy, with the keys that discovery leads to."""
    document = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=30).json()
    keys = jwt.PyJWKClient(document["jwks_uri"])

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                claims = authorize(self.headers.get("Authorization"), issuer, keys)
                status, told = 200, {"topics": ["orders"], "for": claims["client_id"]}
            except Refused as refused:
                status, told = refused.args[0], {}
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/metadata/topics"
    finally:
        server.shutdown()
        server.server_close()


def token(made, client, scope=f"{AUDIENCE}/.default"):
    form = {"grant_type": "client_credentials", "scope": scope, **client}
    answer = requests.post(made["token_endpoint"], data=form, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def ask(url, access_token):
    return requests.get(url, headers={"Authorization": f"Bearer {access_token}"}, timeout=30).status_code


def a_client_is_let_in_by_its_group():
    with Server() as server, rest_proxy(server.made["issuer"]) as topics:
        made = server.made
        member = {name: made[name] for name in ("client_id", "client_secret")}
        # By way of a group inside the group.
        assert ask(topics, token(made, member)) == 200
        created = server.place.cli("client", "create", "--name", "late", "--allow", f"{AUDIENCE}/kafka.rest")
        late = {name: created[name] for name in ("client_id", "client_secret")}
        assert ask(topics, token(made, late)) == 403
        server.place.cli("group", "add", GROUP, "--client", late["client_id"])
        refused_last = last_seen(lambda: ask(topics, token(made, late)) != 200, LET_IN_WITHIN)
        assert refused_last <= LET_IN_WITHIN, refused_last
        server.place.cli("group", "remove", GROUP, "--client", late["client_id"])
        last_seen(lambda: ask(topics, token(made, late)) != 403, LET_IN_WITHIN)


def other_tokens_are_refused():
    with Server() as server, rest_proxy(server.made["issuer"]) as topics:
        made = server.made
        member = {name: made[name] for name in ("client_id", "client_secret")}
        good = token(made, member)
        head, body, signature = good.split(".")
        forged = f"{head}.{body}.{signature[::-1]}"
        assert [ask(topics, text) for text in (forged, "x.y.z", "grat_x", "")] == [401] * 4
        assert requests.get(topics, timeout=30).status_code == 401
        # For another audience, though the client is in the group.
        server.place.cli("resource", "create", "https://other.example.com", "--scope", "read")
        server.place.cli("client", "allow", made["client_id"], "https://other.example.com/read")
        other = token(made, member, "https://other.example.com/read")
        assert (ask(topics, other), ask(topics, good)) == (401, 200)


if __name__ == "__main__":
    main(a_client_is_let_in_by_its_group, other_tokens_are_refused)

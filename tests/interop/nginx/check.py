"""A real nginx asks the server, and a guard beside it, by `auth_request` as docs/gateways.md configures it."""

import contextlib
import http.server
import json
import os
import subprocess
import threading

import requests
from processes import free_port, nginx, replaced, running
from starter import BINARY, ROOT, Server, main

RESOURCE = "https://hib.azurehdinsight.net"


class Upstream(http.server.BaseHTTPRequestHandler):
    """The application: tells what reached it."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = {name.lower(): value for name, value in self.headers.items()}
        told = json.dumps({"headers": seen, "length": len(body), "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def upstream():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def guard(server):
    """`grantor guard` before a server."""
    port = free_port()
    command = [BINARY, "guard", "--server", server.made["public_url"], "--listen", f"127.0.0.1:{port}"]
    command += ["--client-id", server.made["serving_client_id"]]
    secret = {"GRANTOR_GUARD_CLIENT_SECRET": server.made["serving_client_secret"]}
    address = f"http://127.0.0.1:{port}"
    with running(command, f"{address}/readyz", env={**os.environ, **secret}, stderr=subprocess.DEVNULL):
        yield address


@contextlib.contextmanager
def gateway(check, application):
    """nginx as the documentation configures it, before an application."""
    page = (ROOT / "docs/gateways.md").read_text()
    block = replaced(
        page.split("```nginx\n")[1].split("```")[0],
        {
            "http://127.0.0.1:8081": check,
            "http://127.0.0.1:9000": application,
            "https://api.example.com": RESOURCE,
        },
    )
    port = free_port()
    with nginx(f"server {{\nlisten 127.0.0.1:{port};\n{block}}}\n"):
        yield f"http://127.0.0.1:{port}"


def token(made, client_id=None, secret=None):
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id or made["client_id"],
        "client_secret": secret or made["client_secret"],
        "scope": f"{RESOURCE}/.default",
    }
    answer = requests.post(made["token_endpoint"], data=form, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def examine(address, server):
    """All answers, seen from a client of nginx."""
    made = server.made
    bearer = {"Authorization": f"Bearer {token(made)}"}
    forged = {"X-Auth-Subject": "root", "X-Auth-Groups": "admins", "X-Consumer-Username": "root"}
    answer = requests.get(f"{address}/v1/topics?x=1", headers={**bearer, **forged}, timeout=30)
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert seen["path"] == "/v1/topics?x=1", seen
    headers = seen["headers"]
    assert headers["x-auth-subject"] == headers["x-auth-client-id"] == made["client_id"], headers
    assert headers["x-auth-groups"] == "data-engineers,kafka-rest", headers
    assert headers["x-auth-scope"] == "kafka.rest", headers
    assert "x-consumer-username" not in headers, headers

    # A body reaches the application and not the check.
    answer = requests.post(f"{address}/v1", data=b"x" * 300_000, headers=bearer, timeout=30)
    assert (answer.status_code, answer.json()["length"]) == (200, 300_000), answer.text

    for headers, words in [({}, 'Bearer realm="grantor"'), ({"Authorization": "Bearer x"}, "invalid_token")]:
        answer = requests.get(f"{address}/v1", headers={**headers, **forged}, timeout=30)
        assert answer.status_code == 401, answer.text
        assert words in answer.headers["WWW-Authenticate"], answer.headers

    flags = ["--lifetime", "1d", "--format", "opaque"]
    issued = server.place.cli("token", "issue", "--client", made["client_id"], "--resource", RESOURCE, *flags)
    key = issued["access_token"]
    assert requests.get(f"{address}/v1?apikey={key}", timeout=30).status_code == 200
    assert requests.get(f"{address}/v1", headers={"apikey": key}, timeout=30).status_code == 200
    assert requests.get(f"{address}/v1?apikey={key}x", timeout=30).status_code == 401
    assert requests.get(f"{address}/check", headers=bearer, timeout=30).status_code == 404, "the check is internal"

    # Outside the group that the route requires.
    outsider = server.place.cli("client", "create", "--name", "outsider", "--allow", f"{RESOURCE}/kafka.rest")
    outside = {"Authorization": f"Bearer {token(made, outsider['client_id'], outsider['client_secret'])}"}
    answer = requests.get(f"{address}/v1", headers=outside, timeout=30)
    assert answer.status_code == 403, answer.text


def nginx_asks_the_server():
    with Server() as server, upstream() as application, gateway(server.made["public_url"], application) as address:
        examine(address, server)


def nginx_asks_a_guard():
    with Server() as server, upstream() as application, guard(server) as check, gateway(check, application) as address:
        examine(address, server)


if __name__ == "__main__":
    main(nginx_asks_the_server, nginx_asks_a_guard)

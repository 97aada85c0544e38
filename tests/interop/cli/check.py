"""What the command line changes reaches a running server within two seconds, and a server told to stop does."""

import socket
import urllib.parse

import jwt
import requests
from starter import Server, last_seen, main

REACHES_WITHIN = 2


def form(made):
    return {
        "grant_type": "client_credentials",
        "client_id": made["client_id"],
        "client_secret": made["client_secret"],
        "scope": made["scope"],
    }


def ask(made):
    return requests.post(made["token_endpoint"], data=form(made), timeout=30)


def a_disabled_client_gets_no_token():
    with Server() as server:
        made = server.made
        assert ask(made).status_code == 200
        server.place.cli("client", "disable", made["client_id"])
        last_seen(lambda: ask(made).status_code == 200, REACHES_WITHIN)
        refusal = ask(made)
        assert refusal.status_code == 401, refusal.text
        assert refusal.json()["error"] == "invalid_client" and refusal.json()["error_codes"] == [2005], refusal.text
        server.place.cli("client", "enable", made["client_id"])
        last_seen(lambda: ask(made).status_code != 200, REACHES_WITHIN)


def a_client_taken_out_of_a_group_loses_it():
    with Server() as server:
        made = server.made

        def groups():
            return jwt.decode(ask(made).json()["access_token"], options={"verify_signature": False}).get("groups", [])

        nested, outer = made["groups"]
        assert outer in groups()
        # The outer group goes away with the nested one, by way of which it came.
        server.place.cli("group", "remove", nested, "--client", made["client_id"])
        last_seen(lambda: outer in groups(), REACHES_WITHIN)
        assert groups() == []


def a_new_client_is_known():
    with Server() as server:
        made = server.made
        new = server.place.cli("client", "create", "--name", "late", "--allow", made["scope"])
        late = {**made, "client_id": new["client_id"], "client_secret": new["client_secret"]}
        last_seen(lambda: ask(late).status_code != 200, REACHES_WITHIN)


def a_server_that_just_started_can_be_stopped():
    for _ in range(5):
        with Server():
            pass


def a_request_that_has_begun_is_answered_after_the_word_to_stop():
    with Server() as server:
        url = urllib.parse.urlsplit(server.made["token_endpoint"])
        body = urllib.parse.urlencode(form(server.made)).encode()
        head = (
            f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        )
        with socket.create_connection((url.hostname, url.port), timeout=30) as begun:
            begun.sendall(head.encode())
            # Only a server that has begun with the request asks for its body.
            assert begun.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"

            def listening():
                try:
                    socket.create_connection((url.hostname, url.port), timeout=30).close()
                except (ConnectionRefusedError, ConnectionResetError):
                    return False
                return True

            server.terminate()
            last_seen(listening, 5)
            begun.sendall(body)
            answer = begun.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200 ") and b"access_token" in answer, answer


main(
    a_disabled_client_gets_no_token,
    a_client_taken_out_of_a_group_loses_it,
    a_new_client_is_known,
    a_server_that_just_started_can_be_stopped,
    a_request_that_has_begun_is_answered_after_the_word_to_stop,
)

"""MSAL for Python gets tokens over TLS, with the development CA of `grantor quickstart --tls`."""

import json

import msal
import requests
from starter import Server, main, snippet


def application(made, **options):
    """A client as its owner writes it."""
    return msal.ConfidentialClientApplication(
        made["client_id"],
        **{
            "authority": f"{made['public_url']}/default",
            "client_credential": made["client_secret"],
            "instance_discovery": False,
            "verify": made["ca_file"],
            **options,
        },
    )


def groups(made, token):
    """What the token says of groups, asked by the client that serves the resource."""
    answer = requests.post(
        made["introspection_endpoint"],
        auth=(made["serving_client_id"], made["serving_client_secret"]),
        data={"token": token},
        verify=made["ca_file"],
        timeout=30,
    ).json()
    assert answer["active"] is True, answer
    return sorted(answer["groups"])


def the_second_call_is_answered_from_the_cache():
    with Server(tls=True) as server:
        made = server.made
        app = application(made)
        first = app.acquire_token_for_client(scopes=["https://hib.azurehdinsight.net/.default"])
        assert first.get("token_source") == "identity_provider", first
        assert first["token_type"] == "Bearer" and first["expires_in"] == 3600, first
        assert groups(made, first["access_token"]) == sorted(made["groups"])

        second = app.acquire_token_for_client(scopes=["https://hib.azurehdinsight.net/.default"])
        assert second.get("token_source") == "cache", second
        assert second["access_token"] == first["access_token"]


def the_documented_snippet_works():
    with Server(tls=True) as server:
        made = server.made
        values = {
            "CLIENT_ID": made["client_id"],
            "CLIENT_SECRET": made["client_secret"],
            "https://login.example.com": made["public_url"],
            "keys/dev-ca.pem": made["ca_file"],
        }
        answer = snippet("MSAL for Python", values)["answer"]
        assert groups(made, answer["access_token"]) == sorted(made["groups"])


def an_authority_by_name_works():
    with Server(tls=True) as server:
        port = server.made["public_url"].rsplit(":", 1)[1]
        app = application(server.made, authority=f"https://localhost:{port}/default")
        answer = app.acquire_token_for_client(scopes=[server.made["scope"]])
        assert "access_token" in answer, answer


def oidc_authority_accepts_the_issuer():
    with Server(tls=True) as server:
        made = server.made
        authority = f"{made['public_url']}/default"
        app = application(made, authority=None, instance_discovery=None, oidc_authority=authority)
        first = app.acquire_token_for_client(scopes=[made["scope"]])
        assert first.get("token_source") == "identity_provider", first
        second = app.acquire_token_for_client(scopes=[made["scope"]])
        assert second.get("token_source") == "cache", second


def a_wrong_secret_shows_our_error():
    with Server(tls=True) as server:
        sent = []
        session = requests.Session()
        session.verify = server.made["ca_file"]
        session.hooks["response"].append(lambda answer, **_: sent.append(answer.request.headers))
        app = application(server.made, client_credential="not-the-secret-of-this-client", http_client=session)
        answer = app.acquire_token_for_client(scopes=[server.made["scope"]])
        assert answer["error"] == "invalid_client", answer
        assert answer["error_codes"] == [2002], answer
        assert answer["error_description"].startswith("GRT2002: "), answer
        assert answer["correlation_id"] == sent[-1]["client-request-id"], answer
        assert answer["trace_id"] and answer["timestamp"], answer
        assert "not-the-secret" not in json.dumps(answer), answer


def an_unknown_scope_shows_our_error():
    with Server(tls=True) as server:
        answer = application(server.made).acquire_token_for_client(scopes=["https://nobody.example.com/.default"])
        assert answer["error"] in ("invalid_scope", "invalid_target"), answer
        assert answer["error_description"].startswith("GRT4"), answer


main(
    the_second_call_is_answered_from_the_cache,
    the_documented_snippet_works,
    an_authority_by_name_works,
    oidc_authority_accepts_the_issuer,
    a_wrong_secret_shows_our_error,
    an_unknown_scope_shows_our_error,
)

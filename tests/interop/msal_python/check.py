"""MSAL for Python gets tokens over TLS, with the development CA of `grantor quickstart --tls`, for itself and for people."""

import json
import warnings

import msal
import people
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


SCOPES = [f"{people.API}/read"]

# The answer comes by a query on purpose: a form that another site posts brings no session cookie along.
warnings.filterwarnings("ignore", message="response_mode='form_post' is recommended")


def as_the_example(made, client):
    """The values of this server in place of those that the documentation shows."""
    return {
        "CLIENT_ID": client["client_id"],
        **({"CLIENT_SECRET": client["client_secret"]} if "client_secret" in client else {}),
        "https://login.example.com": made["public_url"],
        "https://api.example.com/read": SCOPES[0],
        "keys/dev-ca.pem": made["ca_file"],
    }


def refreshed_twice(app, person, answer):
    """The account is known, and its refresh tokens work one after the other; signing out forgets it."""
    assert answer["id_token_claims"]["preferred_username"] == person.username, answer
    (account,) = app.get_accounts()
    assert account["username"] == person.username, account
    cached = app.acquire_token_silent(SCOPES, account=account)
    assert cached["token_source"] == "cache", cached
    assert cached["access_token"] == answer["access_token"]
    tokens = {answer["access_token"]}
    for _ in range(2):
        fresh = app.acquire_token_silent(SCOPES, account=account, force_refresh=True)
        assert fresh and fresh.get("token_source") == "identity_provider", fresh
        tokens.add(fresh["access_token"])
    assert len(tokens) == 3
    assert len(app.get_accounts()) == 1
    app.remove_account(account)
    assert app.get_accounts() == []
    assert app.acquire_token_silent(SCOPES, account=account) is None


def a_person_signs_in_at_the_browser_of_a_desktop_program():
    with Server(tls=True) as server:
        made, place = server.made, server.place
        people.new_api(place)
        client = people.new_client(place, "Desktop", "--public", "--redirect-uri", "http://localhost")
        person = people.Person(place)
        person.use_as_browser()
        names = snippet("MSAL for Python on a desktop", as_the_example(made, client))
        assert "Authentication complete" in person.finish()["text"]
        refreshed_twice(names["app"], person, names["answer"])

        person.use_as_browser(allow=False)
        refused = names["app"].acquire_token_interactive(SCOPES)
        assert "Authentication failed" in person.finish()["text"]
        assert refused["error"] == "access_denied", refused


def a_person_signs_in_at_a_web_application():
    with Server(tls=True) as server, people.Site() as site:
        made, place = server.made, server.place
        people.new_api(place)
        client = people.new_client(place, "Web", "--redirect-uri", site.redirect_uri)
        person = people.Person(place)
        names = snippet("MSAL for Python in a web application", as_the_example(made, client))
        flow = names["start"](site.redirect_uri)
        person.go(flow["auth_uri"])
        refreshed_twice(names["app"], person, names["finish"](flow, site.next()))

        other = people.Person(place)
        flow = names["start"](site.redirect_uri)
        other.go(flow["auth_uri"], allow=False)
        try:
            names["finish"](flow, site.next())
        except PermissionError as error:
            assert "access_denied" in str(error), error
        else:
            raise AssertionError("a refusal was taken for an answer")


main(
    the_second_call_is_answered_from_the_cache,
    the_documented_snippet_works,
    an_authority_by_name_works,
    oidc_authority_accepts_the_issuer,
    a_wrong_secret_shows_our_error,
    an_unknown_scope_shows_our_error,
    a_person_signs_in_at_the_browser_of_a_desktop_program,
    a_person_signs_in_at_a_web_application,
)

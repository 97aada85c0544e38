"""Authlib's session for requests takes a person through the whole flow, over TLS with the development CA."""

import os

import people
import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.oauth2.rfc6749.errors import MismatchingStateException
from joserfc.errors import InvalidClaimError
from starter import Server, main, snippet


def as_the_example(made, client, site):
    """The values of this server in place of those that the documentation shows."""
    return {
        "CLIENT_ID": client["client_id"],
        "CLIENT_SECRET": client["client_secret"],
        "https://login.example.com": made["public_url"],
        "https://api.example.com/read": f"{people.API}/read",
        "https://web.example.com/callback": site.redirect_uri,
    }


def refused(call, kind):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"there was no {kind.__name__}")


def a_person_signs_in_at_a_web_application():
    with Server(tls=True) as server, people.Site() as site:
        made, place = server.made, server.place
        # requests trusts what this names, as on the machine of somebody who tries the snippet.
        os.environ["REQUESTS_CA_BUNDLE"] = made["ca_file"]
        people.new_api(place)
        client = people.new_client(place, "Web", "--redirect-uri", site.redirect_uri)
        person = people.Person(place)
        names = snippet("Authlib", as_the_example(made, client, site))
        oauth, document = names["oauth"], names["document"]

        verifier, nonce = generate_token(48), generate_token(32)
        url, state = names["start"](verifier, nonce)
        person.go(url)
        back = site.next_url()
        tokens, claims = names["finish"](back, state, verifier, nonce)
        assert claims["preferred_username"] == person.username, claims
        assert tokens["expires_in"] == 3600 and tokens["token_type"] == "Bearer", tokens
        userinfo = oauth.get(document["userinfo_endpoint"]).json()
        assert userinfo["sub"] == claims["sub"], userinfo

        first = tokens["refresh_token"]
        for _ in range(2):
            fresh = oauth.refresh_token(document["token_endpoint"])
            assert fresh["access_token"] != tokens["access_token"]
        assert oauth.token["refresh_token"] != first

        # A code is worth something once.
        again = refused(lambda: names["finish"](back, state, verifier, nonce), OAuthError)
        assert again.error == "invalid_grant", again


def what_does_not_fit_is_noticed():
    with Server(tls=True) as server, people.Site() as site:
        made, place = server.made, server.place
        os.environ["REQUESTS_CA_BUNDLE"] = made["ca_file"]
        people.new_api(place)
        client = people.new_client(place, "Web", "--redirect-uri", site.redirect_uri)
        names = snippet("Authlib", as_the_example(made, client, site))

        def sent(person, allow=True):
            verifier, nonce = generate_token(48), generate_token(32)
            url, state = names["start"](verifier, nonce)
            person.go(url, allow)
            return site.next_url(), state, verifier, nonce

        refusal = sent(people.Person(place), allow=False)
        error = refused(lambda: names["finish"](*refusal), PermissionError)
        assert str(error).startswith("access_denied: GRT"), error

        person = people.Person(place)
        back, state, verifier, nonce = sent(person)
        stranger = back.replace("iss=", "iss=https://other.example.com&was=")
        refused(lambda: names["finish"](stranger, state, verifier, nonce), ValueError)
        refused(lambda: names["finish"](back, "another state", verifier, nonce), MismatchingStateException)
        error = refused(lambda: names["finish"](back, state, generate_token(48), nonce), OAuthError)
        assert error.error == "invalid_grant", error
        back, state, verifier, nonce = sent(person)
        refused(lambda: names["finish"](back, state, verifier, "another nonce"), InvalidClaimError)
        back, state, verifier, nonce = sent(person)
        _, claims = names["finish"](back, state, verifier, nonce)
        assert claims["preferred_username"] == person.username, claims


def without_the_authority_nothing_is_trusted():
    with Server(tls=True) as server:
        os.environ.pop("REQUESTS_CA_BUNDLE", None)
        url = f"{server.made['public_url']}/.well-known/openid-configuration"
        refused(lambda: requests.get(url, timeout=30), requests.exceptions.SSLError)
        assert requests.get(url, verify=server.made["ca_file"], timeout=30).json()["issuer"] == server.made["issuer"]


main(a_person_signs_in_at_a_web_application, what_does_not_fit_is_noticed, without_the_authority_nothing_is_trusted)

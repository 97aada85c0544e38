"""PyJWT verifies tokens with the keys that the discovery document leads to, as a resource server does."""

import ssl

import jwt
import requests
from starter import Server, main, snippet


def token(made):
    """A token for the resource."""
    answer = requests.post(
        made["token_endpoint"],
        data={
            "grant_type": "client_credentials",
            "client_id": made["client_id"],
            "client_secret": made["client_secret"],
            "scope": made["scope"],
        },
        verify=made.get("ca_file", True),
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def discovery(made, path="/.well-known/openid-configuration"):
    """The discovery document; its issuer must be exactly the one it was asked of (RFC 8414 §3.3)."""
    document = requests.get(made["public_url"] + path, verify=made.get("ca_file", True), timeout=30).json()
    assert document["issuer"] == made["issuer"], document
    return document


def verify(access_token, made, keys, **changes):
    """All that a resource server checks."""
    key = keys.get_signing_key_from_jwt(access_token)
    options = {
        "algorithms": ["RS256"],
        "audience": "https://hib.azurehdinsight.net",
        "issuer": made["issuer"],
        "options": {"require": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]},
        **changes,
    }
    return jwt.decode(access_token, key, **options)


def refused(expected, *arguments, **options):
    try:
        verify(*arguments, **options)
    except expected:
        return
    raise AssertionError(f"accepted instead of {expected.__name__}")


def signature_issuer_and_audience_are_verified():
    with Server() as server:
        made = server.made
        keys = jwt.PyJWKClient(discovery(made)["jwks_uri"])
        access_token = token(made)
        claims = verify(access_token, made, keys)
        assert jwt.get_unverified_header(access_token)["typ"] == "at+jwt"
        assert sorted(claims["groups"]) == sorted(made["groups"]), claims
        assert claims["exp"] - claims["iat"] == 3600, claims

        refused(jwt.InvalidAudienceError, access_token, made, keys, audience="https://other.example.com")
        refused(jwt.InvalidIssuerError, access_token, made, keys, issuer=made["issuer"] + "/")
        refused(jwt.InvalidAlgorithmError, access_token, made, keys, algorithms=["ES256"])
        head, _, signature = access_token.split(".")
        other = token(made).split(".")[1]
        refused(jwt.InvalidSignatureError, f"{head}.{other}.{signature}", made, keys)


def the_documented_snippet_works():
    with Server() as server:
        made = server.made
        names = snippet("PyJWT in a resource server", {"https://login.example.com": made["issuer"]})
        assert sorted(names["verify"](token(made))["groups"]) == sorted(made["groups"])


def every_discovery_document_leads_to_the_keys():
    with Server() as server:
        made = server.made
        access_token = token(made)
        for path in (
            "/.well-known/oauth-authorization-server",
            "/.well-known/oauth-authorization-server/default",
            "/.well-known/openid-configuration",
            "/default/.well-known/oauth-authorization-server",
            "/default/.well-known/openid-configuration",
            "/default/v2.0/.well-known/openid-configuration",
            "/v2.0/.well-known/openid-configuration",
        ):
            keys = jwt.PyJWKClient(discovery(made, path)["jwks_uri"])
            verify(access_token, made, keys)
        verify(access_token, made, jwt.PyJWKClient(made["jwks_uri"]))


def keys_are_read_over_tls():
    with Server(tls=True) as server:
        made = server.made
        trust = ssl.create_default_context(cafile=made["ca_file"])
        # Newer versions of Python ask for this by default.
        trust.verify_flags |= ssl.VERIFY_X509_STRICT
        keys = jwt.PyJWKClient(discovery(made)["jwks_uri"], ssl_context=trust)
        verify(token(made), made, keys)


def keys_and_tokens_of_two_servers_do_not_mix():
    with Server() as one, Server() as other:
        keys = jwt.PyJWKClient(discovery(one.made)["jwks_uri"])
        refused(jwt.PyJWKClientError, token(other.made), other.made, keys)


main(
    signature_issuer_and_audience_are_verified,
    the_documented_snippet_works,
    every_discovery_document_leads_to_the_keys,
    keys_are_read_over_tls,
    keys_and_tokens_of_two_servers_do_not_mix,
)

"""A Token Status List (draft-ietf-oauth-status-list) read with PyJWT, zlib and json: no code of ours."""

import base64
import zlib

import jwt
import requests
from starter import Server, last_seen, main, snippet

# A revocation must be in the published list after this many seconds.
PUBLISHED_WITHIN = 10


def token(made):
    answer = requests.post(
        made["token_endpoint"],
        data={
            "grant_type": "client_credentials",
            "client_id": made["client_id"],
            "client_secret": made["client_secret"],
            "scope": made["scope"],
        },
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def place_in_list(access_token):
    """Where the token's bit stands: the list's address and the index."""
    claims = jwt.decode(access_token, options={"verify_signature": False})
    place = claims["status"]["status_list"]
    return place["uri"], place["idx"]


def read(made, uri):
    """The bits of the list, after every check that the draft asks of a reader (§8.3)."""
    answer = requests.get(uri, headers={"Accept": "application/statuslist+jwt"}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/statuslist+jwt", answer.headers
    key = jwt.PyJWKClient(made["jwks_uri"]).get_signing_key_from_jwt(answer.text)
    options = {"require": ["sub", "iat", "exp"]}
    claims = jwt.decode(answer.text, key, algorithms=["RS256"], issuer=made["issuer"], subject=uri, options=options)
    assert jwt.get_unverified_header(answer.text)["typ"] == "statuslist+jwt"
    assert claims["status_list"]["bits"] == 1, claims
    packed = claims["status_list"]["lst"]
    assert "=" not in packed, "base64url without padding"
    return zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))


def bit(bits, index):
    """§4.1: the least significant bit of a byte comes first."""
    return bits[index // 8] >> (index % 8) & 1


def set_bits(bits):
    return [index for index in range(len(bits) * 8) if bit(bits, index)]


def introspect(made, access_token):
    caller = (made["serving_client_id"], made["serving_client_secret"])
    return requests.post(made["introspection_endpoint"], auth=caller, data={"token": access_token}, timeout=30).json()


def revocation_sets_this_bit_and_no_other():
    with Server() as server:
        made = server.made
        tokens = [token(made) for _ in range(3)]
        places = [place_in_list(each) for each in tokens]
        assert len(set(places)) == 3, places
        uri, index = places[1]
        assert all(index < len(read(made, uri)) * 8 for uri, index in places)
        assert set_bits(read(made, uri)) == []

        caller = (made["client_id"], made["client_secret"])
        revoked = requests.post(made["revocation_endpoint"], auth=caller, data={"token": tokens[1]}, timeout=30)
        assert revoked.status_code == 200, revoked.text
        # Introspection knows at once.
        assert introspect(made, tokens[1]) == {"active": False}
        assert introspect(made, tokens[0])["active"] is True

        last_seen(lambda: bit(read(made, uri), index) == 0, PUBLISHED_WITHIN)
        assert set_bits(read(made, uri)) == [index]


def an_operator_revokes_from_the_command_line():
    with Server() as server:
        made = server.made
        first, second = token(made), token(made)
        uri, index = place_in_list(first)
        assert bit(read(made, uri), index) == 0
        server.place.cli("token", "revoke", first)
        assert introspect(made, first) == {"active": False}
        last_seen(lambda: bit(read(made, uri), index) == 0, PUBLISHED_WITHIN)
        assert set_bits(read(made, uri)) == [index]
        assert introspect(made, second)["active"] is True


def the_documented_snippet_tells_revoked_from_good():
    with Server() as server:
        made = server.made
        names = {"jwt": jwt, "requests": requests, "ISSUER": made["issuer"], "keys": jwt.PyJWKClient(made["jwks_uri"])}
        access_token = token(made)
        names["claims"] = jwt.decode(access_token, options={"verify_signature": False})
        assert snippet("The status list", {}, **names)["revoked"] == 0
        server.place.cli("token", "revoke", access_token)
        last_seen(lambda: snippet("The status list", {}, **names)["revoked"] == 0, PUBLISHED_WITHIN)


main(
    revocation_sets_this_bit_and_no_other,
    an_operator_revokes_from_the_command_line,
    the_documented_snippet_tells_revoked_from_good,
)

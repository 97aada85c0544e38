"""The lines that `grantor quickstart` prints, run by a shell as they stand."""

import base64
import json

from starter import Place, Server, loopback, main, run, shell


def token_line(made):
    """The line as the documentation shows it."""
    return (
        'curl -X POST -H "Content-Type: application/x-www-form-urlencoded" '
        f"-d 'client_id={made['client_id']}&client_secret={made['client_secret']}"
        "&grant_type=client_credentials&scope=https://hib.azurehdinsight.net/.default' "
        f"'{made['public_url']}/default/oauth2/v2.0/token'"
    )


def claims(token):
    """The claims, read without a look at the signature."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def the_exact_token_line_answers_with_the_groups_of_the_client():
    with Server() as server:
        made = server.made
        assert made["tenant"] == "default", made
        assert made["resource"] == "https://hib.azurehdinsight.net", made
        assert made["scope"] == "https://hib.azurehdinsight.net/.default", made
        assert made["token_endpoint"] == f"{made['public_url']}/default/oauth2/v2.0/token", made
        assert made["public_url"].startswith("http://127.0.0.1:"), made
        assert made["curl"]["token"] == token_line(made), made["curl"]["token"]

        answer = json.loads(shell(made["curl"]["token"]))
        assert answer["token_type"] == "Bearer", answer
        assert answer["expires_in"] == 3600, answer
        token = claims(answer["access_token"])
        assert token["iss"] == made["issuer"], token
        assert token["aud"] == made["resource"], token
        assert token["client_id"] == made["client_id"], token
        # The client is a member of the nested group only; kafka-rest comes by way of it.
        nested, outer = made["groups"]
        assert outer == "kafka-rest" and nested != outer, made["groups"]
        assert sorted(token["groups"]) == sorted(made["groups"]), token


def the_printed_lines_for_introspection_jwks_and_revocation_work():
    with Server() as server:
        lines = server.made["curl"]
        token = json.loads(shell(lines["token"]))["access_token"]

        keys = json.loads(shell(lines["jwks"]))["keys"]
        assert [key["alg"] for key in keys] == ["RS256"] and "d" not in keys[0], keys

        assert "TOKEN" in lines["introspect"] and "TOKEN" in lines["revoke"], lines
        introspection = json.loads(shell(lines["introspect"].replace("TOKEN", token)))
        assert introspection["active"] is True, introspection
        assert introspection["groups"] == claims(token)["groups"], introspection

        assert shell(lines["revoke"].replace("TOKEN", token)) == "", "revocation has nothing to say"
        introspection = json.loads(shell(lines["introspect"].replace("TOKEN", token)))
        assert introspection == {"active": False}, introspection


def the_lines_work_over_tls_too():
    with Server(tls=True) as server:
        made = server.made
        assert made["public_url"].startswith("https://"), made
        answer = json.loads(shell(made["curl"]["token"]))
        introspection = json.loads(shell(made["curl"]["introspect"].replace("TOKEN", answer["access_token"])))
        assert introspection["active"] is True, introspection
        # The certificate is good for the name as well as for the address.
        port = made["public_url"].rsplit(":", 1)[1]
        assert run(["curl", "-sSf", "--cacert", made["ca_file"], f"https://localhost:{port}/livez"]) is not None


def people_are_shown_the_same_line():
    with Server(as_json=False) as server:
        line = ""
        while not line.startswith("curl -X POST -H"):
            line = server.next_line().strip()
        answer = json.loads(shell(line))
        token = claims(answer["access_token"])
        made = {
            "client_id": token["client_id"],
            "client_secret": line.split("client_secret=")[1].split("&")[0],
            "public_url": token["iss"],
        }
        assert line == token_line(made), line


def a_second_run_keeps_everything():
    place = Place()
    try:
        with Server(place=place, listen=f"{loopback()}:0") as first:
            before = first.made
            token = json.loads(shell(before["curl"]["token"]))["access_token"]
            keys = json.loads(shell(before["curl"]["jwks"]))
        address = before["public_url"].removeprefix("http://")
        with Server(place=place, listen=address) as second:
            assert second.made == before, (before, second.made)
            assert json.loads(shell(before["curl"]["jwks"])) == keys
            introspection = json.loads(shell(before["curl"]["introspect"].replace("TOKEN", token)))
            assert introspection["active"] is True, introspection
            assert json.loads(shell(before["curl"]["token"]))["token_type"] == "Bearer"
    finally:
        place.close()


main(
    the_exact_token_line_answers_with_the_groups_of_the_client,
    the_printed_lines_for_introspection_jwks_and_revocation_work,
    the_lines_work_over_tls_too,
    people_are_shown_the_same_line,
    a_second_run_keeps_everything,
)

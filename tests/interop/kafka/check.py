"""Apache Kafka as it is: its clients get tokens with client credentials, its broker checks them with our keys."""

import contextlib
import time
import types

import jwt
from broker import RESOURCE, Broker, Refused, ask, block, client, directory, main
from starter import Server, last_seen

SECTION = "Kafka's own handlers"
# A resource whose tokens soon expire. The broker's other listener is for them.
SHORT = "https://short.example.com"
LIFETIME = 10


def server_properties(server, name, **more):
    """The lines of the page for the broker, for a listener of this name."""
    lines = block(SECTION, {"https://login.example.com": server.made["public_url"]})
    lines = lines.replace("listener.name.clients.", f"listener.name.{name}.")
    return lines + "".join(f"listener.name.{name}.{key}={value}\n" for key, value in more.items())


@contextlib.contextmanager
def setting():
    with Server() as server:
        secret = directory(server)
        server.place.cli("resource", "create", SHORT, "--lifetime", f"{LIFETIME}s")
        allow = ["--allow", f"{RESOURCE}/.default", "--allow", f"{SHORT}/.default"]
        other = client(server, "invoices", *allow)
        short = server_properties(server, "short", **{"sasl.oauthbearer.clock.skew.seconds": "0"})
        short = short.replace(RESOURCE, SHORT)
        assert SHORT in short
        url = server.made["public_url"]
        line = block(SECTION, {"https://login.example.com": url}, language="sh")
        addresses = line.split("allowed.urls=")[1].strip('"\n')
        slash = {"sasl.oauthbearer.expected.issuer": f"{server.made['issuer']}/"}
        listeners = {
            "clients": server_properties(server, "clients"),
            "slash": server_properties(server, "slash", **slash),
            "short": short,
        }
        with Broker(listeners, [addresses]) as broker:
            yield types.SimpleNamespace(server=server, broker=broker, secret=secret, other=other)


def client_properties(made, secret=None, place=1, **replace):
    """The lines of the page for a client."""
    replace = {
        "https://login.example.com": made.server.made["public_url"],
        "SASL_SSL": "SASL_PLAINTEXT",
        "CLIENT_SECRET": secret or made.secret,
        **replace,
    }
    return block(SECTION, replace, place)


def the_documented_settings_work(made):
    made.broker.round(client_properties(made), "clients")


def the_documented_settings_for_older_clients_work(made):
    made.broker.round(client_properties(made, place=2), "clients")


def the_client_id_is_the_principal(made):
    topic = made.broker.topic_of("User:orders")
    made.broker.round(client_properties(made), "clients", topic)
    other = client_properties(made, made.other, orders="invoices")
    made.broker.round(other, "clients")
    told = made.broker.refusal(other, "clients", topic)
    assert "TopicAuthorizationException" in told, told


def a_wrong_secret_is_refused(made):
    told = made.broker.refusal(client_properties(made, "not-the-secret"), "clients")
    assert "invalid_client" in told and "GRT2002" in told, told
    assert "not-the-secret" not in told, told


def a_token_for_another_resource_is_refused(made):
    other = client_properties(made, made.other, orders="invoices")
    made.broker.round(other, "clients")
    wrong = client_properties(made, made.other, orders="invoices", **{RESOURCE: SHORT})
    told = made.broker.refusal(wrong, "clients")
    assert "SaslAuthenticationException" in told and "invalid_token" in told, told
    # It is a good one, where it is meant for.
    made.broker.round(wrong, "short")


def with_token(made, token):
    """The lines for a client that has its token from a file."""
    made.broker.token.write_text(token)
    return f"""
security.protocol=SASL_PLAINTEXT
sasl.mechanism=OAUTHBEARER
sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler
sasl.oauthbearer.token.endpoint.url={made.broker.token.as_uri()}
"""


def a_token_whose_signature_was_changed_is_refused(made):
    token = ask(made.server, "orders", made.secret)["access_token"]
    made.broker.round(with_token(made, token), "clients")
    head, payload, signature = token.split(".")
    changed = ".".join([head, payload, signature[:20] + ("A" if signature[20] != "A" else "B") + signature[21:]])
    told = made.broker.refusal(with_token(made, changed), "clients")
    assert "SaslAuthenticationException" in told and "invalid_token" in told, told


def an_issuer_with_a_slash_more_is_another(made):
    token = ask(made.server, "orders", made.secret)["access_token"]
    made.broker.round(with_token(made, token), "clients")
    told = made.broker.refusal(with_token(made, token), "slash")
    assert "SaslAuthenticationException" in told and "invalid_token" in told, told


def what_has_expired_is_refused(made):
    """A token from a file, and a connection whose client is disabled; the one that can renew its own stays."""
    short = {"orders": "invoices", RESOURCE: SHORT}
    staying = made.broker.keep(client_properties(made, made.other, **short), "short")
    secret = client(made.server, "leaver", "--allow", f"{SHORT}/.default", scope=f"{SHORT}/.default")
    # Kafka's producer tells of no refused login as long as it may hope for another one.
    soon = "request.timeout.ms=3000\ndelivery.timeout.ms=3000\nlinger.ms=0\n"
    leaving = made.broker.keep(client_properties(made, secret, **{**short, "orders": "leaver"}) + soon, "short")
    made.server.place.cli("client", "disable", "leaver")

    token = ask(made.server, "invoices", made.other, f"{SHORT}/.default")["access_token"]
    file = with_token(made, token) + soon
    made.broker.round(file, "short")
    expires = jwt.decode(token, options={"verify_signature": False})["exp"]

    last_seen(lambda: allowed(lambda: made.broker.round(file, "short")), LIFETIME + 2)
    assert time.time() >= expires
    told = made.broker.refusal(file, "short")
    assert "SaslAuthenticationException" in told and "invalid_token" in told, told

    last_seen(lambda: allowed(leaving), LIFETIME + 2)
    staying()


def allowed(act):
    try:
        act()
    except Refused:
        return False
    return True


main(
    setting,
    the_documented_settings_work,
    the_documented_settings_for_older_clients_work,
    the_client_id_is_the_principal,
    a_wrong_secret_is_refused,
    a_token_for_another_resource_is_refused,
    a_token_whose_signature_was_changed_is_refused,
    an_issuer_with_a_slash_more_is_another,
    what_has_expired_is_refused,
)

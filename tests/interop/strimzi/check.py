"""Strimzi's OAuth for Kafka: a broker that checks tokens with our keys, and one that asks us about each."""

import contextlib
import os
import types
import unittest.mock

from broker import KNOWN_WITHIN, RESOURCE, Broker, ask, await_client, block, client, directory, line, main, page
from browserless import Person
from starter import Server, last_seen

SECTION = "Strimzi"
OTHER = "https://other.example.com"
# A resource whose tokens are opaque, once a test has said so.
OPAQUE = "https://opaque.example.com"
BUILDER = "principal.builder.class=io.strimzi.kafka.oauth.server.OAuthKafkaPrincipalBuilder\n"

# As the page says.
MEMBERS = """oauth.custom.claim.check="'kafka-users' in @.groups\""""
NAMES = 'oauth.username.claim="preferred_username" oauth.fallback.username.claim="sub"'

NO_JWT = 'oauth.access.token.is.jwt="false"'

# The places of the page's blocks.
KEYS, ASKING, CLIENT, PERSON = range(4)


def server_properties(server, name, place, **replace):
    """The lines of the page for the broker, for a listener of this name."""
    lines = block(SECTION, {"https://login.example.com": server.made["public_url"], **replace}, place)
    assert lines.startswith(BUILDER)
    return lines.replace(BUILDER, "").replace("listener.name.clients.", f"listener.name.{name}.")


@contextlib.contextmanager
def setting():
    with Server() as server:
        grantor = server.place.cli
        secret = directory(server)
        grantor("resource", "create", OTHER)
        grantor("resource", "create", OPAQUE)
        opaque = grantor("client", "create", "--name", "Opaque", "--serves", RESOURCE, "--serves", OPAQUE)
        asking = {"BROKER_SECRET": grantor(*line(block(SECTION, {}, language="sh")))["client_secret"]}
        grantor("group", "create", "kafka-users")
        grantor("group", "add", "kafka-users", "--client", "orders")
        assert f"`{MEMBERS}`" in page() and f"`{NO_JWT}`" in page() and f"`{NAMES}`" in page()
        allow = [f"--allow={resource}/.default" for resource in (RESOURCE, OTHER, OPAQUE)]
        both = client(server, "both", *allow)
        end = 'oauth.groups.claim="$.groups";'
        listeners = {
            "keys": server_properties(server, "keys", KEYS),
            "anybody": server_properties(server, "anybody", KEYS, **{'audience="true"': 'audience="false"'}),
            "asking": server_properties(server, "asking", ASKING, **asking),
            "members": server_properties(server, "members", KEYS, **{end: f"{end[:-1]} {MEMBERS};"}),
            "opaque": server_properties(
                server,
                "opaque",
                ASKING,
                **{
                    'oauth.client.id="broker"': f'oauth.client.id="{opaque["client_id"]}"',
                    "BROKER_SECRET": opaque["client_secret"],
                    'oauth.valid.token.type="Bearer"': f'oauth.valid.token.type="Bearer" {NO_JWT}',
                },
            ),
            "people": server_properties(server, "people", KEYS, **{'oauth.username.claim="sub"': NAMES}),
            "objects": server_properties(server, "objects", KEYS, **{'claim="sub"': 'claim="oid"'}),
        }
        listeners["keys"] += f"{BUILDER}authorizer.class.name=GroupAuthorizer\n"
        with Broker(listeners) as broker:
            yield types.SimpleNamespace(server=server, broker=broker, secret=secret, both=both)


def client_properties(made, secret=None, place=CLIENT, **replace):
    """The lines of the page for a client."""
    replace = {
        "https://login.example.com": made.server.made["public_url"],
        "SASL_SSL": "SASL_PLAINTEXT",
        "CLIENT_SECRET": secret or made.secret,
        **replace,
    }
    return block(SECTION, replace, place)


def with_token(token, is_jwt=True):
    """The lines for a client that has its token already."""
    return f"""
security.protocol=SASL_PLAINTEXT
sasl.mechanism=OAUTHBEARER
sasl.login.callback.handler.class=io.strimzi.kafka.oauth.client.JaasClientOauthLoginCallbackHandler
sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
    oauth.access.token="{token}" {'' if is_jwt else NO_JWT};
"""


def the_documented_settings_work(made):
    for listener in ("keys", "asking"):
        made.broker.round(client_properties(made), listener)


def the_principal_is_the_claim_of_ones_choice(made):
    oid = made.server.place.cli("client", "show", "orders")["oid"]
    orders, both = client_properties(made), client_properties(made, made.both, orders="both")
    for listener, principal in (("keys", "User:orders"), ("asking", "User:orders"), ("objects", f"User:{oid}")):
        topic = made.broker.topic_of(principal)
        made.broker.round(orders, listener, topic)
        told = made.broker.refusal(both, listener, topic)
        assert "TopicAuthorizationException" in told, told


def the_principal_has_the_groups(made):
    made.broker.make_topic("group-kafka-users")
    made.broker.make_topic("group-others")
    for listener in ("keys", "asking"):
        made.broker.round(client_properties(made), listener, "group-kafka-users")
        told = made.broker.refusal(client_properties(made), listener, "group-others")
        assert "TopicAuthorizationException" in told, told


def only_members_are_let_in(made):
    made.broker.round(client_properties(made), "members")
    stranger = client_properties(made, made.both, orders="both")
    made.broker.round(stranger, "keys")
    refused_login(made, stranger, "members", "Custom claim check failed")


def a_wrong_secret_is_refused(made):
    told = made.broker.refusal(client_properties(made, "not-the-secret"), "keys")
    assert "invalid_client" in told and "GRT2002" in told, told
    assert "not-the-secret" not in told, told


def a_token_for_another_resource_is_refused(made):
    good = client_properties(made, made.both, orders="both")
    wrong = client_properties(made, made.both, orders="both", **{RESOURCE: OTHER})
    for listener, why in (("keys", "Expected audience not available"), ("asking", "Token not active")):
        made.broker.round(good, listener)
        refused_login(made, wrong, listener, why)
    # Where nobody looks at the audience, it is good: so nothing else was wrong with it.
    made.broker.round(wrong, "anybody")


def a_changed_token_is_refused(made):
    token = ask(made.server, "orders", made.secret)["access_token"]
    head, payload, signature = token.split(".")
    changed = ".".join([head, payload, signature[:20] + ("A" if signature[20] != "A" else "B") + signature[21:]])
    for listener, why in (("keys", "Invalid token signature"), ("asking", "Token not active")):
        made.broker.round(with_token(token), listener)
        refused_login(made, with_token(changed), listener, why)


def a_revoked_token_is_refused_where_we_are_asked(made):
    token = ask(made.server, "orders", made.secret)["access_token"]
    made.broker.round(with_token(token), "asking")
    made.server.place.cli("token", "revoke", token)
    refused_login(made, with_token(token), "asking", "Token not active")
    # As the page says, our keys alone do not tell.
    made.broker.round(with_token(token), "keys")


def a_refresh_token_is_used_again_and_again(made):
    cli = made.server.place.cli
    secret = cli(*line(block(SECTION, {}, 1, "sh")))["client_secret"]
    await_client(made.server, "report", secret)
    name = made.server.made["username"]
    person = Person(made.server, name, made.server.made["password"])
    token = person.tokens("report", secret, f"{RESOURCE}/.default")["refresh_token"]
    properties = client_properties(made, secret, PERSON, REFRESH_TOKEN=token)

    topic = made.broker.topic_of(f"User:{name}")
    for _ in range(3):
        made.broker.round(properties, "people", topic)
    # The claim is a person's; the listener takes clients as it did.
    made.broker.round(client_properties(made), "people", made.broker.topic_of("User:orders"))

    cli("user", "disable", name)
    told = made.broker.refusal(properties, "people", topic)
    assert "invalid_grant" in told, told


def opaque_tokens_are_asked_about(made):
    made.server.place.cli("resource", "update", OPAQUE, "--token-format", "opaque")

    def new_token():
        return ask(made.server, "both", made.both, f"{OPAQUE}/.default")["access_token"]

    last_seen(lambda: "." in new_token(), KNOWN_WITHIN)
    end = f'oauth.scope="{RESOURCE}/.default"'
    opaque = {end: f'oauth.scope="{OPAQUE}/.default" {NO_JWT}', "orders": "both"}
    topic = made.broker.topic_of("User:both")
    made.broker.round(client_properties(made, made.both, **opaque), "opaque", topic)

    token = new_token()
    made.broker.round(with_token(token, is_jwt=False), "opaque", topic)
    refused_login(made, with_token(token[:-1], is_jwt=False), "opaque", "Token not active")
    # The broker of the page serves another resource.
    refused_login(made, with_token(token, is_jwt=False), "asking", "Token not active")
    made.server.place.cli("token", "revoke", token)
    refused_login(made, with_token(token, is_jwt=False), "opaque", "Token not active")


def a_long_lived_token_works_until_it_is_revoked(made):
    for token_format, listener in (("jwt", "asking"), ("opaque", "opaque")):
        cli, is_jwt = made.server.place.cli, token_format == "jwt"
        issue = line(block(SECTION, {}, 2, "sh"))
        # The issuer in the token is that of the configuration that the command is run with.
        with unittest.mock.patch.dict(os.environ, GRANTOR_PUBLIC_URL=made.server.made["public_url"]):
            token = cli(*issue, "--format", token_format)["access_token"]
        topic = made.broker.topic_of("User:orders")
        made.broker.round(with_token(token, is_jwt), listener, topic)
        if is_jwt:
            made.broker.round(with_token(token), "keys", topic)
        cli("token", "revoke", token)
        refused_login(made, with_token(token, is_jwt), listener, "Token not active")


def refused_login(made, properties, listener, why):
    told = made.broker.refusal(properties, listener)
    assert "SaslAuthenticationException" in told and why in told, told


main(
    setting,
    the_documented_settings_work,
    the_principal_is_the_claim_of_ones_choice,
    the_principal_has_the_groups,
    only_members_are_let_in,
    a_wrong_secret_is_refused,
    a_token_for_another_resource_is_refused,
    a_changed_token_is_refused,
    a_revoked_token_is_refused_where_we_are_asked,
    a_refresh_token_is_used_again_and_again,
    opaque_tokens_are_asked_about,
    a_long_lived_token_works_until_it_is_revoked,
)

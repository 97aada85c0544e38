"""The Databricks SDK for Python signs machines and people in, set up by the lines of docs/databricks.md.

The SDK is called back at port 8020 and at no other.
"""

import json
import webbrowser

from databricks.sdk import oauth
from databricks.sdk.config import Config
from person import Person
from starter import main
from workspace import Workspace

ALL = "all-apis"


def browse(workspace, config):
    """Signs in with `config`, whose browser is a person of ours; hands back the token and who was asked what."""
    person = workspace.person()
    opened = []
    real, webbrowser.open_new = webbrowser.open_new, lambda url: opened.append(person.visit_beside(url))
    try:
        headers = Config(**config).authenticate()
    finally:
        webbrowser.open_new = real
    for thread in opened:
        thread.join(30)
    kind, token = headers["Authorization"].split(" ")
    assert kind == "Bearer", headers
    return token, person.seen


def cached(workspace):
    """The file in which the SDK keeps what it got."""
    (file,) = workspace.home.glob(".config/databricks-sdk-py/oauth/*.json")
    return file


def grow_old(workspace):
    """Lets the cached access token be one of the day before."""
    file = cached(workspace)
    kept = json.loads(file.read_text())
    kept["token"]["expiry"] = "2020-01-01T00:00:00"
    file.write_text(json.dumps(kept))
    return kept["token"]["refresh_token"]


def bearer(config):
    kind, token = config.authenticate()["Authorization"].split(" ")
    assert kind == "Bearer", kind
    return token


def a_machine_finds_everything_by_the_host():
    with Workspace() as workspace:
        config = Config(host=workspace.host, client_id=workspace.client_id, client_secret=workspace.secret)
        assert config.auth_type == "oauth-m2m", config.auth_type
        claims = workspace.verify(bearer(config))
        assert claims["scope"] == ALL, claims
        assert claims["client_id"] == claims["sub"] == workspace.client_id, claims


def a_machine_asks_for_less():
    with Workspace() as workspace:
        config = Config(
            host=workspace.host,
            client_id=workspace.client_id,
            client_secret=workspace.secret,
            scopes="sql file.files dashboards.genie",
        )
        claims = workspace.verify(bearer(config))
        assert sorted(claims["scope"].split(" ")) == ["dashboards.genie", "file.files", "sql"], claims


def a_machine_of_another_tenant_names_it_in_the_host():
    with Workspace("acme") as workspace:
        config = Config(host=workspace.host, client_id=workspace.client_id, client_secret=workspace.secret)
        workspace.verify(bearer(config))


def an_account_is_a_tenant():
    with Workspace("acme") as workspace:
        endpoints = oauth.get_account_endpoints(workspace.root, "acme")
        assert endpoints.token_endpoint == f"{workspace.root}/oidc/accounts/acme/v1/token", endpoints
        source = oauth.ClientCredentials(
            workspace.client_id, workspace.secret, endpoints.token_endpoint, scopes=ALL, use_header=True
        )
        workspace.verify(source.token().access_token)


def a_wrong_secret_shows_our_error():
    with Workspace() as workspace:
        try:
            Config(host=workspace.host, client_id=workspace.client_id, client_secret="wrong").authenticate()
        except ValueError as error:
            assert "invalid_client: GRT2002: " in str(error), error
        else:
            raise AssertionError("a wrong secret was taken")


def a_person_signs_in_once_and_is_remembered_by_refresh_tokens():
    for tenant in ["default", "acme"]:
        with Workspace(tenant) as workspace:
            config = {"host": workspace.host, "auth_type": "external-browser"}
            token, seen = browse(workspace, config)
            claims = workspace.verify(token)
            assert seen == ["grantor-login", "grantor-consent"], seen
            assert (claims["client_id"], claims["scope"]) == ("databricks-cli", ALL), claims

            # The next process takes the token from the file.
            again, seen = browse(workspace, config)
            assert (again, seen) == (token, []), seen

            # A day later it is refreshed. What rotation gave is not written back, so one process after another presents
            # the same refresh token.
            first = grow_old(workspace)
            for _ in range(3):
                refreshed, seen = browse(workspace, config)
                assert seen == [], "the SDK gave up its refresh token and asked the person again"
                assert refreshed != token
                workspace.verify(refreshed)
                assert grow_old(workspace) == first


def a_person_who_says_no_is_not_signed_in():
    with Workspace() as workspace:
        endpoints = Config(
            host=workspace.host, client_id=workspace.client_id, client_secret=workspace.secret
        ).databricks_oidc_endpoints
        client = oauth.OAuthClient(endpoints, "http://localhost:8020", "databricks-cli", scopes=[ALL])
        consent = client.initiate_consent()
        person = Person(workspace.username, workspace.password, decision="deny")
        real, webbrowser.open_new = webbrowser.open_new, person.visit_beside
        try:
            consent.launch_external_browser()
        except ValueError as error:
            assert "access_denied: GRT4213" in str(error), error
        else:
            raise AssertionError("there was a token all the same")
        finally:
            webbrowser.open_new = real


main(
    a_machine_finds_everything_by_the_host,
    a_machine_asks_for_less,
    a_machine_of_another_tenant_names_it_in_the_host,
    an_account_is_a_tenant,
    a_wrong_secret_shows_our_error,
    a_person_signs_in_once_and_is_remembered_by_refresh_tokens,
    a_person_who_says_no_is_not_signed_in,
)

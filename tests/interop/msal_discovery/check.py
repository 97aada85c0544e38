"""MSAL for Python finds a tenant by its own ways: instance discovery, `authority`, `oidc_authority`."""

import msal
from person import NOBODY, Person
from starter import Server, main

TENANT = "acme"
API = "https://api.acme.example.com"
PASSWORD = "correct horse battery"


class Directory:
    """A server over TLS with a tenant beside the default one, which has a machine, an application and a person."""

    def __enter__(self):
        self.server = Server(tls=True)
        self.base = self.server.made["public_url"]
        self.authority = f"{self.base}/{TENANT}"
        self._cli("tenant", "create", TENANT)
        self._cli("resource", "create", API, "--scope", "read", tenant=True)
        made = self._cli("client", "create", "--name", "Jobs", "--allow", f"{API}/.default", tenant=True)
        self.client_id, self.client_secret = made["client_id"], made["client_secret"]
        redirect = ["--redirect-uri", "http://localhost", "--first-party"]
        self._cli(
            "client", "create", "--name", "App", "--id", "app", "--public", *redirect, "--allow", f"{API}/read",
            tenant=True,
        )
        self._cli("user", "create", "bob", "--password-stdin", tenant=True, input=PASSWORD)
        return self

    def __exit__(self, *failure):
        self.server.__exit__(*failure)

    def _cli(self, *words, tenant=False, **options):
        return self.server.place.cli(*words, *(["--tenant", TENANT] if tenant else []), **options)

    @property
    def instance_discovery(self):
        return f"{self.base}/common/discovery/instance"

    def machine(self, **options):
        return msal.ConfidentialClientApplication(
            self.client_id, client_credential=self.client_secret, verify=self.server.made["ca_file"], **options
        )


def ways(directory):
    """Every way in which an application can name the tenant, with what MSAL makes of it."""
    yield {"authority": directory.authority, "instance_discovery": directory.instance_discovery}
    yield {"authority": directory.authority, "instance_discovery": False}
    yield {"authority": directory.authority, "validate_authority": False}
    yield {"oidc_authority": directory.authority}


def every_way_to_name_a_tenant_leads_to_it():
    with Directory() as directory:
        for options in ways(directory):
            app = directory.machine(**options)
            assert app.authority.token_endpoint == f"{directory.authority}/oauth2/v2.0/token", options
            answer = app.acquire_token_for_client(scopes=[f"{API}/.default"])
            assert answer.get("token_source") == "identity_provider", (options, answer)
            again = app.acquire_token_for_client(scopes=[f"{API}/.default"])
            assert again.get("token_source") == "cache", (options, again)


def an_authority_that_is_not_ours_is_refused():
    with Directory() as directory:
        port = directory.base.rsplit(":", 1)[1]
        for authority in [f"{directory.base}/nobody", f"https://login.example.com:{port}/{TENANT}"]:
            try:
                directory.machine(authority=authority, instance_discovery=directory.instance_discovery)
            except ValueError as error:
                assert "invalid_instance" in str(error), error
            else:
                raise AssertionError(f"{authority} was believed")


def a_person_of_the_tenant_signs_in_and_is_refreshed():
    with Directory() as directory:
        ca_file = directory.server.made["ca_file"]
        for options in [
            {"authority": directory.authority, "instance_discovery": False},
            {"oidc_authority": directory.authority},
        ]:
            app = msal.PublicClientApplication("app", verify=ca_file, **options)
            person = Person("bob", PASSWORD, verify=ca_file)
            flow = app.initiate_auth_code_flow([f"{API}/read"], redirect_uri=f"http://localhost:{NOBODY}")
            answer = app.acquire_token_by_auth_code_flow(flow, person.called_back(flow["auth_uri"]))
            assert answer["id_token_claims"]["preferred_username"] == "bob", answer
            assert answer["id_token_claims"]["iss"] == directory.authority, answer
            (account,) = app.get_accounts()
            silent = app.acquire_token_silent([f"{API}/read"], account, force_refresh=True)
            assert silent and silent["access_token"] != answer["access_token"], silent


main(
    every_way_to_name_a_tenant_leads_to_it,
    an_authority_that_is_not_ours_is_refused,
    a_person_of_the_tenant_signs_in_and_is_refreshed,
)

"""The MCP SDK for Python: a server protected by Grantor, and clients that find their way from its first 401."""

import asyncio
import urllib.parse

import httpx2
import jwt
import requests
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata
from person import Person
from starter import main
from tools import CALLBACK, PASSWORD, Tools


def call(tools, provider):
    """Calls the tool as a client with this provider; hands back what it answered."""

    async def run():
        async with httpx2.AsyncClient(auth=provider, timeout=30) as http:
            async with streamable_http_client(tools.url, http_client=http) as streams:
                async with ClientSession(*streams) as session:
                    await session.initialize()
                    return await session.call_tool("double", {"number": 21})

    return asyncio.run(asyncio.wait_for(run(), 60)).structured_content


def machine(tools, storage):
    return ClientCredentialsOAuthProvider(
        server_url=tools.url,
        storage=storage,
        client_id="agent",
        client_secret=tools.secret,
        issuer=tools.issuer,
    )


def application(tools, storage, person):
    """What a person uses: a public client that was made by hand, since there is no registration."""
    came = {}

    async def redirect(url):
        came["asked"] = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        came.update(await asyncio.to_thread(person.called_back, url))

    async def callback():
        return AuthorizationCodeResult(code=came["code"], state=came["state"], iss=came["iss"])

    storage.info = OAuthClientInformationFull(
        client_id="assistant",
        redirect_uris=[CALLBACK],
        token_endpoint_auth_method="none",
        issuer=tools.issuer,
    )
    metadata = OAuthClientMetadata(redirect_uris=[CALLBACK], token_endpoint_auth_method="none")
    provider = OAuthClientProvider(tools.url, metadata, storage, redirect, callback)
    return provider, came


class Storage:
    """What a client keeps."""

    def __init__(self):
        self.tokens = self.info = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.info

    async def set_client_info(self, info):
        self.info = info


def claims_of(storage):
    return jwt.decode(storage.tokens.access_token, options={"verify_signature": False})


def a_machine_finds_its_way_from_the_first_401():
    for tenant in ["default", "acme"]:
        with Tools(tenant) as tools:
            storage = Storage()
            assert call(tools, machine(tools, storage)) == {"result": 42}
            claims = claims_of(storage)
            assert (claims["aud"], claims["scope"]) == (tools.url, "tools"), claims
            assert claims["client_id"] == claims["sub"] == "agent", claims


def a_person_lets_an_application_call_tools():
    for tenant in ["default", "acme"]:
        with Tools(tenant) as tools:
            storage, person = Storage(), Person("bob", PASSWORD)
            provider, came = application(tools, storage, person)
            assert call(tools, provider) == {"result": 42}
            assert person.seen == ["grantor-login", "grantor-consent"], person.seen
            assert came["asked"]["resource"] == tools.url, came["asked"]
            claims = claims_of(storage)
            assert (claims["aud"], claims["scope"], claims["client_id"]) == (tools.url, "tools", "assistant"), claims


def a_token_for_another_resource_is_refused():
    with Tools() as tools:
        document = requests.get(f"{tools.issuer}/.well-known/oauth-authorization-server", timeout=30).json()
        form = {"grant_type": "client_credentials", "scope": "tools", "resource": "https://other.example.com"}
        answer = requests.post(document["token_endpoint"], data=form, auth=("agent", tools.secret), timeout=30).json()
        headers = {"Authorization": f"Bearer {answer['access_token']}", "Accept": "application/json, text/event-stream"}
        refused = requests.post(tools.url, json={}, headers=headers, timeout=30)
        assert refused.status_code == 401, refused.text
        assert "resource_metadata=" in refused.headers["WWW-Authenticate"], refused.headers


main(
    a_machine_finds_its_way_from_the_first_401,
    a_person_lets_an_application_call_tools,
    a_token_for_another_resource_is_refused,
)

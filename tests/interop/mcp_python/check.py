"""The MCP SDK for Python: a server protected by Grantor, and clients that find their way from its first 401.

What is set up is what docs/mcp.md shows.
"""

import asyncio
import socket
import threading
import time
import urllib.parse

import httpx2
import jwt
import requests
import uvicorn
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata
from person import NOBODY, Person
from starter import Server, documented, main

PASSWORD = "correct horse battery"
EXAMPLE = "https://mcp.example.com/mcp"
CALLBACK = f"http://127.0.0.1:{NOBODY}/callback"


class Verifier:
    """Takes tokens of this issuer for this very server, verified with the published keys."""

    def __init__(self, issuer, audience):
        document = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=30).json()
        self.keys = jwt.PyJWKClient(document["jwks_uri"])
        self.issuer, self.audience = issuer, audience

    async def verify_token(self, token):
        try:
            key = await asyncio.to_thread(self.keys.get_signing_key_from_jwt, token)
            claims = jwt.decode(token, key, algorithms=["RS256"], audience=self.audience, issuer=self.issuer)
        except jwt.PyJWTError:
            return None
        return AccessToken(
            token=token,
            client_id=claims["client_id"],
            scopes=claims["scope"].split(" "),
            expires_at=claims["exp"],
            resource=claims["aud"],
            subject=claims["sub"],
            claims=claims,
        )


class Tools:
    """An MCP server that is protected by a tenant, set up by the lines of docs/mcp.md with its own address in them."""

    def __init__(self, tenant="default"):
        self.tenant = tenant

    def __enter__(self):
        self.server = Server()
        cli = self.server.place.cli
        root = self.server.made["public_url"]
        self.issuer = root if self.tenant == "default" else f"{root}/{self.tenant}"
        if self.tenant != "default":
            cli("tenant", "create", self.tenant)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        for words in documented("mcp.md"):
            made = cli(*(word.replace(EXAMPLE, self.url) for word in words), "--tenant", self.tenant)
            self.secret = made.get("client_secret") or getattr(self, "secret", None)
        cli("resource", "create", "https://other.example.com", "--scope", "tools", "--tenant", self.tenant)
        cli("client", "allow", "agent", "https://other.example.com/tools", "--tenant", self.tenant)
        cli("user", "create", "bob", "--password-stdin", "--tenant", self.tenant, stdin=PASSWORD)

        settings = AuthSettings(
            issuer_url=self.issuer,
            resource_server_url=self.url,
            required_scopes=["tools"],
            validate_token_resource=True,
        )
        server = MCPServer("tools", token_verifier=Verifier(self.issuer, self.url), auth=settings, log_level="ERROR")

        @server.tool()
        def double(number: int) -> int:
            return 2 * number

        self.served = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="error"))
        self.thread = threading.Thread(target=self.served.run, kwargs={"sockets": [listening]}, daemon=True)
        self.thread.start()
        while not self.served.started:
            assert self.thread.is_alive()
            time.sleep(0.05)
        return self

    def __exit__(self, *failure):
        self.served.should_exit = True
        self.thread.join(30)
        self.server.__exit__(*failure)

    def call(self, provider):
        """Calls the tool as a client with this provider; hands back what it answered."""

        async def run():
            async with httpx2.AsyncClient(auth=provider, timeout=30) as http:
                async with streamable_http_client(self.url, http_client=http) as streams:
                    async with ClientSession(*streams) as session:
                        await session.initialize()
                        return await session.call_tool("double", {"number": 21})

        return asyncio.run(asyncio.wait_for(run(), 60)).structured_content

    def machine(self, storage):
        return ClientCredentialsOAuthProvider(
            server_url=self.url,
            storage=storage,
            client_id="agent",
            client_secret=self.secret,
            issuer=self.issuer,
        )

    def application(self, storage, person):
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
            issuer=self.issuer,
        )
        metadata = OAuthClientMetadata(redirect_uris=[CALLBACK], token_endpoint_auth_method="none")
        provider = OAuthClientProvider(self.url, metadata, storage, redirect, callback)
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
            assert tools.call(tools.machine(storage)) == {"result": 42}
            claims = claims_of(storage)
            assert (claims["aud"], claims["scope"]) == (tools.url, "tools"), claims
            assert claims["client_id"] == claims["sub"] == "agent", claims


def a_person_lets_an_application_call_tools():
    for tenant in ["default", "acme"]:
        with Tools(tenant) as tools:
            storage, person = Storage(), Person("bob", PASSWORD)
            provider, came = tools.application(storage, person)
            assert tools.call(provider) == {"result": 42}
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

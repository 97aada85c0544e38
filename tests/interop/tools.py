"""An MCP server that is protected by Grantor, set up by the lines of docs/mcp.md."""

import asyncio
import socket
import threading
import time

import jwt
import requests
import uvicorn
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from person import NOBODY
from starter import Server, documented

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
        cli("user", "create", "bob", "--password-stdin", "--tenant", self.tenant, input=PASSWORD)

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

"""What the Databricks SDKs sign in to: a server set up by the lines of docs/databricks.md."""

import os
import pathlib
import tempfile

import jwt
import requests
from person import Person
from starter import Server, documented


class Workspace:
    """A server with what the documentation sets up, in one of its tenants; `home` is the home folder meanwhile."""

    def __init__(self, tenant="default"):
        self.tenant = tenant

    def __enter__(self):
        self._home = tempfile.TemporaryDirectory()
        self.home = pathlib.Path(self._home.name)
        self._real_home, os.environ["HOME"] = os.environ.get("HOME"), self._home.name
        self.server = Server()
        cli = self.server.place.cli
        if self.tenant != "default":
            cli("tenant", "create", self.tenant)
        made = [cli(*words, "--tenant", self.tenant) for words in documented("databricks.md")]
        self.resource = made[0]["identifier"]
        self.secret = next(row["client_secret"] for row in made if "client_secret" in row)
        self.client_id = next(row["client_id"] for row in made if "client_secret" in row)
        self.root = self.server.made["public_url"]
        self.issuer = self.host = self.root if self.tenant == "default" else f"{self.root}/{self.tenant}"
        if self.tenant == "default":
            self.username, self.password = self.server.made["username"], self.server.made["password"]
        else:
            self.username, self.password = "bob", "correct horse battery"
            cli("user", "create", "bob", "--password-stdin", "--tenant", self.tenant, input=self.password)
        return self

    def __exit__(self, *failure):
        if self._real_home is not None:
            os.environ["HOME"] = self._real_home
        self.server.__exit__(*failure)
        self._home.cleanup()

    def person(self):
        return Person(self.username, self.password)

    def verify(self, token):
        """Checks a token as a service does that stands for the workspace."""
        document = requests.get(f"{self.host}/oidc/.well-known/openid-configuration", timeout=30).json()
        key = jwt.PyJWKClient(document["jwks_uri"]).get_signing_key_from_jwt(token)
        return jwt.decode(token, key, algorithms=["RS256"], audience=self.resource, issuer=self.issuer)

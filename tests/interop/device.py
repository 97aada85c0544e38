"""A device without a browser, and a person who has one."""

from person import Person
from starter import Server

API = "https://api.example.com"


class Device:
    """A server over TLS, and a client that may ask as a device does."""

    def __enter__(self):
        self.server = Server(tls=True)
        self.made = self.server.made
        cli = self.server.place.cli
        cli("resource", "create", API, "--scope", "read")
        words = ["--name", "Television", "--id", "tv", "--public", "--grant", "device_code", "--grant", "refresh_token"]
        cli("client", "create", *words, "--allow", f"{API}/read")
        return self

    def __exit__(self, *failure):
        self.server.__exit__(*failure)

    def person(self, **options):
        return Person(self.made["username"], self.made["password"], verify=self.made["ca_file"], **options)

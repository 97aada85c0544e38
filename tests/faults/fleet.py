"""Servers of one installation: `grantor serve` with a database, keys and a configuration that they share.

    with Fleet(servers=3) as fleet:
        fleet.callers[0].client_credentials()

The tests kill, stop and start single servers of it, and nginx stands before them where `balanced` says so.
"""

import contextlib
import datetime
import ipaddress
import time

import requests
from browserless import CALLBACK, Person
from calls import API, Caller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from processes import free_port, nginx, replaced
from starter import ROOT, START_SECONDS, Place, Running, loopback

PASSWORD = "correct horse battery staple"

# Long enough that no token of a test expires before its fate was compared.
LIFETIME = "1d"


class Serve(Running):
    """`grantor serve`, from when it is ready."""

    def __init__(self, fleet, number, **options):
        self.address = fleet.addresses[number]
        arguments = ["serve", "--listen", self.address, "--public-url", fleet.public_url]
        arguments += ["--config", str(fleet.config)]
        super().__init__(fleet.place, arguments, log=f"server-{number}.log", **options)

    def ready(self):
        """Whether it says that it can do its work."""
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"http://{self.address}/readyz", timeout=15).status_code == 200
        return False

    def running(self):
        return self._process.poll() is None

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            assert self.running(), f"the server ended instead of serving\n{self.log()}"
            assert time.monotonic() < deadline, f"the server was not ready within {START_SECONDS} s\n{self.log()}"
            time.sleep(0.01)


class Fleet:
    """A place, what the tests need in its directory, and the servers."""

    def __init__(self, servers=1, balanced=False, postgres=None, settings="", people=1, folder=None, **options):
        self.place = Place(postgres) if postgres else Place()
        if folder:
            self.place.database = str(folder / "grantor.db")
        self._options = options
        self._stack = contextlib.ExitStack()
        self._stack.callback(self.place.close)
        host = loopback()
        self.addresses = [f"{host}:{free_port(host)}" for _ in range(servers)]
        self.public_url, self.verify = f"http://{self.addresses[0]}", True
        if balanced:
            self.port = free_port()
            self.public_url = f"https://127.0.0.1:{self.port}"
            self.verify = str(self.place.folder / "certificate.pem")
            settings = f'[server]\ntrusted_proxies = ["127.0.0.1"]\n{settings}'
        self.config = self.place.folder / "grantor.toml"
        self.config.write_text(settings)
        self._balanced = balanced
        self._people = people
        self.servers = [None] * servers

    def __enter__(self):
        try:
            # The first one makes the database; the command line would make it as well.
            self.start(0)
            self.made = self.furnish()
            for number in range(1, len(self.servers)):
                self.start(number)
            if self._balanced:
                self._stack.enter_context(self._nginx())
        except BaseException:
            self.__exit__(AssertionError)
            raise
        return self

    def __exit__(self, kind, *_):
        with self._stack:
            failure = None
            for server in filter(None, self.servers):
                if not server.running():
                    continue
                try:
                    server.stop_at_once()
                except AssertionError as error:
                    failure = error
            if kind is not None or failure:
                for log in sorted(self.place.folder.glob("server-*.log")):
                    print(f"--- {log.name}, its end", log.read_text()[-6000:], sep="\n")
            if failure and kind is None:
                raise failure

    def start(self, number, wait=True):
        server = self.servers[number] = Serve(self, number, **self._options)
        if wait:
            server.wait_until_ready()
        return server

    def caller(self, number=None):
        """Somebody who calls one server, or with none named whatever stands before them."""
        base = self.public_url if number is None else f"http://{self.addresses[number]}"
        return Caller(base, self.made, self.verify if number is None else True)

    def callers(self):
        return [self.caller(number) for number in range(len(self.servers))]

    def person(self, number=0):
        made = {"public_url": self.public_url}
        return Person(_Made(made), f"ann{number}", PASSWORD, self.verify)

    def furnish(self):
        """What the tests sign in to: a resource, applications, people and a group."""
        cli = self.place.cli
        cli("resource", "create", API, "--scope", "read", "--default", "--lifetime", LIFETIME)
        cli("group", "create", "crew")
        made = {"public_url": self.public_url}
        web = ["--redirect-uri", CALLBACK, "--allow", f"{API}/read", "--refresh", "always"]
        for name, flags in {
            "robot": ["--allow", f"{API}/read"],
            "gate": ["--serves", API],
            "app": [*web, "--first-party"],
            "third": web,
        }.items():
            made[name] = cli("client", "create", "--name", name, "--id", name, *flags)["client_secret"]
        for number in range(self._people):
            cli("user", "create", f"ann{number}", "--password-stdin", input=PASSWORD)
        return made

    def _nginx(self):
        """nginx before the servers, by the configuration that docs/deploying.md shows."""
        page = (ROOT / "docs/deploying.md").read_text()
        key = self.place.folder / "key.pem"
        certify(self.verify, key)
        block = replaced(
            page.split("```nginx\n")[1].split("```")[0],
            {
                "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
                "/etc/ssl/login.example.com.pem": f'"{self.verify}"',
                "/etc/ssl/private/login.example.com.key": f'"{key}"',
                **{f"10.0.0.{number + 11}:8080": address for number, address in enumerate(self.addresses)},
            },
        )
        return nginx(block)


class _Made:
    def __init__(self, made):
        self.made = made


def certify(certificate, key):
    """A certificate for this machine alone, signed by itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    with open(certificate, "wb") as file:
        file.write(signed.public_bytes(pem))
    with open(key, "wb") as file:
        file.write(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))

"""Starts a real Kafka broker for a test, and Kafka's own Java clients, and stops them again.

    with Server() as server, Broker(server, {"clients": "listener.name.clients.… = …"}) as broker:
        print(broker.round(properties, "clients"))

One broker has a listener for each way of checking tokens. Its ports are on a loopback address of its own. The jars are
those that `tests/run` has put into `tests/.work/java`.
"""

import functools
import os
import pathlib
import queue
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import requests
import starter
from starter import ROOT, loopback, run

JAVA = ROOT / "tests/.work/java"
START_SECONDS = 90
ANSWER_SECONDS = 90
TOPIC = "records"

# The resource on the page.
RESOURCE = "https://kafka.example.com"
# What the command line changes is known to a running server after this many seconds.
KNOWN_WITHIN = 2

# Small and quick to start: these JVMs live for seconds.
JVM = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]

BROKER_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{address}:19091
controller.listener.names=CONTROLLER
inter.broker.listener.name=INTERNAL
listeners=CONTROLLER://{address}:19091,INTERNAL://{address}:19092{listeners}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT{protocols}
log.dirs={folder}/data
num.partitions=1
num.network.threads=1
num.io.threads=2
num.recovery.threads.per.data.dir=1
background.threads=1
log.cleaner.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
share.coordinator.state.topic.num.partitions=1
transaction.state.log.num.partitions=1
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""

LOGGING = """
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ABSOLUTE} %p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.security.name=org.apache.kafka.common.security
logger.security.level=info
logger.strimzi.name=io.strimzi
logger.strimzi.level=info
logger.authorizer.name=kafka.authorizer.logger
logger.authorizer.level=debug
"""


class Broker:
    """A broker with a listener for each name in `listeners`, whose properties are those lines. Ready when it is made.

    `allowed` are the addresses that the JVM property `org.apache.kafka.sasl.oauthbearer.allowed.urls` names. It also
    names the file `token`, for clients that have their token from there.
    """

    def __init__(self, listeners, allowed=()):
        assert (JAVA / "jars").is_dir(), "no jars in tests/.work/java: tests/run interop fetches them"
        self._temporary = tempfile.TemporaryDirectory(prefix="grantor-kafka.")
        self.folder = pathlib.Path(self._temporary.name)
        self._address = loopback()
        self._ports = {"internal": 19092} | {name: 19093 + place for place, name in enumerate(listeners)}
        self.token = self.folder / "token.jwt"
        allowed = ",".join([*allowed, self.token.as_uri()])
        self._jvm = [*JVM, f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={allowed}"]
        self._peer = None
        self._process = None
        self._log = (self.folder / "broker.log").open("w+")
        try:
            self._start(listeners)
            self._peer = Peer(self._java("peer", "Peer"))
            self.make_topic(TOPIC)
        except BaseException:
            self.show_log()
            self.close()
            raise

    def _java(self, name, *command):
        """A command line that runs a class of the jars; what it logs goes to its standard output."""
        logging = self.folder / f"{name}.log4j2.properties"
        logging.write_text(LOGGING)
        if name == "peer":
            logging.write_text(logging.read_text() + "appender.out.target=SYSTEM_ERR\n")
        classes = f"{JAVA / 'classes'}{os.pathsep}{JAVA / 'jars'}/*"
        return [*self._jvm, f"-Dlog4j2.configurationFile={logging.as_uri()}", "-cp", classes, *command]

    def _start(self, listeners):
        file = self.folder / "server.properties"
        file.write_text(
            BROKER_PROPERTIES.format(
                address=self._address,
                folder=self.folder,
                listeners="".join(f",{name.upper()}://{self.at(name)}" for name in listeners),
                protocols="".join(f",{name.upper()}:SASL_PLAINTEXT" for name in listeners),
            )
            + "\n".join(listeners.values())
        )
        identity = "MkU3OEVBNTcwNTJENDM2Qg"
        run(self._java("format", "kafka.tools.StorageTool", "format", "-t", identity, "-c", str(file)))
        self._process = subprocess.Popen(
            self._java("broker", "kafka.Kafka", str(file)),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + START_SECONDS
        for name in self._ports:
            self._await(name, deadline)

    def _await(self, name, deadline):
        """Waits until the listener accepts connections, which Kafka lets it do once the broker is ready."""
        host, port = self.at(name).rsplit(":", 1)
        while True:
            assert self._process.poll() is None, "the broker ended instead of serving"
            try:
                socket.create_connection((host, int(port)), timeout=5).close()
                return
            except OSError as why:
                assert time.monotonic() < deadline, f"the broker does not listen within {START_SECONDS} s: {why}"
                time.sleep(0.05)

    def at(self, listener):
        """Address and port, as `bootstrap.servers` wants them."""
        return f"{self._address}:{self._ports[listener]}"

    def _ask(self, action, properties, listener, *words):
        file = self.folder / f"{uuid.uuid4().hex}.properties"
        if isinstance(properties, dict):
            properties = "\n".join(f"{name}={value}" for name, value in properties.items())
        file.write_text(f"{properties}\nbootstrap.servers={self.at(listener)}\n")
        return self._peer.ask(action, str(file), *words)

    def round(self, properties, listener, topic=TOPIC):
        """Produces a record and consumes it, or raises `Refused`."""
        value = uuid.uuid4().hex
        read = self._ask("round", properties, listener, topic, value)
        assert read == value, f"wrote {value}, read {read}"

    def refusal(self, properties, listener, topic=TOPIC):
        """What the client is told, who must be refused."""
        try:
            self.round(properties, listener, topic)
        except Refused as why:
            return str(why)
        raise AssertionError("was let in")

    def keep(self, properties, listener):
        """Opens a producer that stays, and sends a record; hands back what sends one more."""
        name = uuid.uuid4().hex
        self._ask("keep", properties, listener, TOPIC, name)
        return lambda: self._ask("send", properties, listener, TOPIC, name)

    def make_topic(self, topic):
        self._ask("topic", {}, "internal", topic)

    def topic_of(self, principal):
        """A new topic that only this principal may use."""
        topic = f"of-{uuid.uuid4().hex}"
        self.make_topic(topic)
        self._ask("allow", {}, "internal", topic, principal)
        self._ask("allow", {}, "internal", topic, "User:ANONYMOUS")
        return topic

    def log(self):
        """What the broker wrote so far."""
        return (self.folder / "broker.log").read_text()

    def show_log(self):
        print("--- what the broker wrote", *self.log().splitlines()[-200:], "---", sep="\n", file=sys.stderr)
        if self._peer:
            print("--- what Kafka's clients wrote", *self._peer.log[-100:], "---", sep="\n", file=sys.stderr)

    def close(self):
        if self._peer:
            self._peer.close()
        if self._process:
            # It takes ten seconds to stop well, and what it holds is thrown away.
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._temporary.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Refused(Exception):
    """Kafka's client could not do what it was asked; the text is its chain of exceptions."""


class Peer:
    """Kafka's own clients, in one process."""

    def __init__(self, command):
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._answers = queue.Queue()
        self.log = []
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=lambda: self.log.extend(self._process.stderr), daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._answers.put(line.rstrip("\n"))
        self._answers.put("")

    def ask(self, *words):
        self._process.stdin.write("\t".join(words) + "\n")
        self._process.stdin.flush()
        try:
            answer = self._answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise AssertionError(f"no answer to {words[0]} within {ANSWER_SECONDS} s") from None
        verdict, _, told = answer.partition("\t")
        if verdict == "refused":
            raise Refused(told)
        assert verdict == "done", f"no answer to {words[0]}: {answer}"
        return told

    def close(self):
        self._process.kill()
        self._process.wait()


def page():
    return (ROOT / "docs/kafka.md").read_text()


def block(heading, replace, place=0, language="properties"):
    """The settings that docs/kafka.md shows under a heading, with a reader's values in place of the example's."""
    section = re.split(rf"(?:^|\n)#+ {re.escape(heading)}\n", page())[1].split("\n## ")[0]
    text = section.split(f"```{language}\n")[1 + place].split("```")[0]
    for example, value in replace.items():
        assert example in text, f"the settings do not say {example}"
        text = text.replace(example, value)
    return text


def line(command):
    """The arguments of a line that begins with `grantor`."""
    program, *arguments = shlex.split(command)
    assert program == "grantor", command
    return arguments


def directory(server):
    """Runs the commands that docs/kafka.md begins with; hands back the secret of the client `orders`."""
    commands = block("Apache Kafka", {}, language="sh").splitlines()
    made = [server.place.cli(*line(command)) for command in commands]
    await_client(server, "orders", made[-1]["client_secret"])
    return made[-1]["client_secret"]


def client(server, name, *options, scope=f"{RESOURCE}/.default"):
    """Makes a client and waits until the running server knows it; hands back its secret."""
    made = server.place.cli("client", "create", "--name", name, "--id", name, *options)
    await_client(server, name, made["client_secret"], scope)
    return made["client_secret"]


def await_client(server, client_id, secret, scope=f"{RESOURCE}/.default"):
    starter.last_seen(lambda: "access_token" not in ask(server, client_id, secret, scope), KNOWN_WITHIN)


def ask(server, client_id, secret, scope=f"{RESOURCE}/.default"):
    """What the token endpoint answers to client credentials."""
    form = {"grant_type": "client_credentials", "scope": scope}
    url = f"{server.made['public_url']}/oauth2/v2.0/token"
    return requests.post(url, form, auth=(client_id, secret), timeout=30).json()


def main(setting, *tests):
    """Runs the tests of one folder, each with what `setting` makes for all of them together."""
    with setting() as made:
        try:
            starter.main(*(functools.wraps(test)(functools.partial(test, made)) for test in tests))
        except SystemExit as ended:
            code = ended.code
        if code:
            made.broker.show_log()
    sys.exit(code)

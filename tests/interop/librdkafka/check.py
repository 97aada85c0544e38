"""librdkafka, by way of confluent-kafka: it gets its tokens from us by itself, a broker checks them with our keys."""

import contextlib
import time
import types
import uuid

from broker import RESOURCE, TOPIC, Broker, block, client, directory, main
from confluent_kafka import Consumer, Producer
from starter import Server

SECTION = "librdkafka"
BROKER_SECTION = "Kafka's own handlers"
OTHER = "https://other.example.com"
WITHIN = 60


@contextlib.contextmanager
def setting():
    with Server() as server:
        secret = directory(server)
        server.place.cli("resource", "create", OTHER)
        both = client(server, "both", "--allow", f"{RESOURCE}/.default", "--allow", f"{OTHER}/.default")
        url = {"https://login.example.com": server.made["public_url"]}
        keys = f"{server.made['public_url']}/discovery/v2.0/keys"
        with Broker({"clients": block(BROKER_SECTION, url)}, [keys]) as broker:
            yield types.SimpleNamespace(server=server, broker=broker, secret=secret, both=both)


def code(made, secret, **replace):
    """The page's program with this reader's values; it ends before the first record."""
    replace = {
        "https://login.example.com": made.server.made["public_url"],
        "kafka.example.com:9093": made.broker.at("clients"),
        "sasl_ssl": "sasl_plaintext",
        "CLIENT_SECRET": secret,
        **replace,
    }
    return block(SECTION, replace, language="python")


def settings(made, secret, **replace):
    """What the page's program hands to librdkafka."""
    caught = {}
    program = code(made, secret, **replace).split("producer.produce")[0]
    exec(program.replace("from confluent_kafka import Producer", ""), {"Producer": caught.update})
    return caught


def the_documented_program_works(made):
    told = []
    made.broker.make_topic("orders")
    exec(code(made, made.secret), {"print": told.append})
    assert consumed(made, made.secret, "orders") == b"the first"
    assert told == []


def consumed(made, secret, topic):
    """The first record of a topic, read as a member of a consumer group."""
    told = []
    how = settings(made, secret) | {"error_cb": told.append, "auto.offset.reset": "earliest", "group.id": "readers"}
    consumer = Consumer(how)
    try:
        consumer.subscribe([topic])
        record = consumer.poll(WITHIN)
        assert record is not None and record.error() is None, (record and record.error(), told)
        return record.value()
    finally:
        consumer.close()


def produced(made, secret, **replace):
    """Produces a record; hands back what went wrong first, or nothing when it arrived."""
    wrong, arrived = [], []
    producer = Producer(settings(made, secret, **replace) | {"error_cb": wrong.append})
    producer.produce(TOPIC, uuid.uuid4().bytes, callback=lambda error, record: arrived.append(error))
    deadline = time.monotonic() + WITHIN
    while not wrong and not arrived:
        assert time.monotonic() < deadline, f"neither arrived nor refused within {WITHIN} s"
        producer.poll(1)
    producer.purge()
    producer.flush()
    return wrong


def a_wrong_secret_reaches_the_error_callback(made):
    assert produced(made, made.secret) == []
    wrong = produced(made, "not-the-secret")
    assert wrong[0].name() == "_AUTHENTICATION" and "invalid_client" in wrong[0].str(), wrong
    assert "not-the-secret" not in wrong[0].str(), wrong


def a_token_for_another_resource_is_refused(made):
    assert produced(made, made.both, orders="both") == []
    wrong = produced(made, made.both, orders="both", **{RESOURCE: OTHER})
    assert wrong[0].name() == "_AUTHENTICATION" and "invalid_token" in wrong[0].str(), wrong


main(
    setting,
    the_documented_program_works,
    a_wrong_secret_reaches_the_error_callback,
    a_token_for_another_resource_is_refused,
)

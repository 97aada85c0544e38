"""Servers are stopped and started one after the other while clients go on: nobody notices."""

import concurrent.futures
import threading
import time

import requests
from fleet import Fleet
from lines import begin
from starter import START_SECONDS, main

# Requests that are answered after a server is back, before the next one is stopped.
BETWEEN = 60


def client(fleet, turn):
    """One client with a connection that is kept alive; each call of what it hands back sends one request."""
    caller = fleet.caller()
    if turn % 3 == 0:
        return caller.client_credentials
    tokens = begin(fleet, fleet.person())
    if turn % 3 == 1:
        return lambda: caller.post("/oauth2/v2.0/introspect", "gate", {"token": tokens["access_token"]})
    line = [tokens["refresh_token"]]

    def refresh():
        reply = caller.refresh(line[0])
        line[0] = reply.json().get("refresh_token")
        return reply

    return refresh


class Load:
    """Clients that never pause; the first answer that is not 200 is what went wrong."""

    def __init__(self, fleet, clients=6):
        self.clients = [client(fleet, turn) for turn in range(clients)]
        self.answered = [0] * clients
        self.stop = threading.Event()

    def run(self, turn):
        while not self.stop.is_set():
            reply = self.clients[turn]()
            assert reply.status_code == 200, f"client {turn}: {reply.status_code} {reply.text}"
            self.answered[turn] += 1

    def __enter__(self):
        self.pool = concurrent.futures.ThreadPoolExecutor(len(self.clients))
        self.running = [self.pool.submit(self.run, turn) for turn in range(len(self.clients))]
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.pool.shutdown()
        for done in self.running:
            done.result()

    def wait_for_more(self):
        """Until every client was answered again and all of them often."""
        before = list(self.answered)
        deadline = time.monotonic() + START_SECONDS
        while sum(self.answered) - sum(before) < BETWEEN or any(
            now == then for now, then in zip(self.answered, before, strict=True)
        ):
            for done in self.running:
                assert not done.done(), done.exception()
            assert time.monotonic() < deadline, "the clients are not answered any more"
            time.sleep(0.02)


def took_part(fleet, number):
    metrics = requests.get(f"http://{fleet.addresses[number]}/metrics", timeout=30).text
    return any(line.startswith("grantor_token_requests_total{") for line in metrics.splitlines())


def a_rolling_restart_loses_no_request():
    with Fleet(servers=3, balanced=True) as fleet, Load(fleet) as load:
        for number in range(len(fleet.servers)):
            load.wait_for_more()
            assert took_part(fleet, number), f"nginx left out server {number}"
            fleet.servers[number].stop()
            fleet.start(number)
        load.wait_for_more()
        assert all(took_part(fleet, number) for number in range(len(fleet.servers)))


def readiness_goes_first_and_the_rest_is_served_meanwhile():
    with Fleet() as fleet:
        server, caller = fleet.servers[0], fleet.caller()
        first = caller.client_credentials()
        assert (first.status_code, first.headers.get("Connection")) == (200, None), first.headers
        assert server.ready()
        server.terminate()
        deadline = time.monotonic() + START_SECONDS
        while server.ready():
            assert time.monotonic() < deadline, "readiness does not go"
            time.sleep(0.01)
        # Balancers see the readiness at their next look; until then whoever they send is served, and told to go.
        reply = fleet.caller().client_credentials()
        assert reply.status_code == 200, reply.text
        assert reply.headers.get("Connection") == "close", reply.headers
        server.wait()


if __name__ == "__main__":
    main(a_rolling_restart_loses_no_request, readiness_goes_first_and_the_rest_is_served_meanwhile)

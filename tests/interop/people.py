"""People who sign in at a real Chromium, and the clients' own web servers to which they come back."""

import _thread
import http.server
import json
import os
import queue
import subprocess
import threading
import urllib.parse
import uuid
import webbrowser

from starter import ROOT

API = "https://api.example.com"
PASSWORD = "correct horse battery staple"
SECONDS = 60


def new_api(place):
    """The resource that the clients of the tests ask for."""
    place.cli("resource", "create", API, "--scope", "read", "--scope", "write")


def new_client(place, name, *flags):
    return place.cli("client", "create", "--name", name, "--allow", f"{API}/read", *flags)


class Person:
    """Somebody who can sign in, and does so at whatever address a client opens."""

    def __init__(self, place):
        self.username = f"ann-{uuid.uuid4().hex[:8]}"
        place.cli("user", "create", self.username, "--password-stdin", input=PASSWORD)
        self._at_work = []

    def start(self, url, allow=True):
        """Opens the address, signs in and answers; does not wait for it."""
        told = {"url": url, "username": self.username, "password": PASSWORD, "allow": allow}
        command = ["node", ROOT / "tests/interop/person.mjs"]
        environment = {**os.environ, "GRANTOR_PERSON": json.dumps(told)}
        self._at_work.append(
            subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        )

    def _watch(self):
        """A program that waits for its browser would wait for ever when the person gave up."""
        if self._at_work[-1].wait() != 0:
            _thread.interrupt_main()

    def finish(self):
        """Waits for what was started; hands back what the person saw in the end, as `url` and `text`."""
        working = self._at_work.pop()
        try:
            seen, _ = working.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            working.kill()
            working.communicate()
            raise
        assert working.returncode == 0, f"the person gave up with {working.returncode}"
        return json.loads(seen)

    def go(self, url, allow=True):
        self.start(url, allow)
        return self.finish()

    def use_as_browser(self, allow=True):
        """Makes this person the browser that programs open by the module webbrowser."""
        person = self

        class Controller(webbrowser.BaseBrowser):
            def open(self, url, new=0, autoraise=True):
                person.start(url, allow)
                threading.Thread(target=person._watch, daemon=True).start()
                return True

        webbrowser.register("person", None, Controller("person"), preferred=True)


class Site:
    """A client's own web server: it takes down what the browser brings."""

    def __enter__(self):
        arrived = self._arrived = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if urllib.parse.urlsplit(self.path).path == "/callback":
                    arrived.put(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"Back at the client")

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.redirect_uri = f"{self.origin}/callback"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def next_url(self):
        """The whole address at which the browser came back."""
        return self.origin + self._arrived.get(timeout=SECONDS)

    def next(self):
        """The parameters with which the browser came back."""
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.next_url()).query))

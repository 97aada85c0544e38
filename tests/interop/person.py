"""A person at a browser, as far as an interop test needs one: follows redirects, keeps cookies, fills in our forms.

    Person("alice", password).visit(authorization_url)

signs in and consents wherever that is asked for, and ends where no page of ours is: at the client's callback.
"""

import html.parser
import threading
import time
import urllib.parse

import requests

# A client that listens only after it has opened the browser is waited for.
CALLBACK_SECONDS = 20


# The port of a callback at which nobody listens.
NOBODY = 1


class CalledBack(Exception):
    """The way ended at a callback at which nobody listens."""

    def __init__(self, url):
        super().__init__(url)
        self.url = url


class Page(html.parser.HTMLParser):
    """What matters of a page: the id of its main part, and its forms with their fields."""

    def __init__(self, text):
        super().__init__()
        self.id = None
        self.forms = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "main":
            self.id = attributes.get("id")
        elif tag == "form":
            self.forms.append((attributes["action"], {}))
        elif tag == "input" and self.forms and "name" in attributes:
            self.forms[-1][1][attributes["name"]] = attributes.get("value", "")


class Person:
    """Who says yes, or with `decision="deny"` no, to everything that is asked. `code` is what is typed for a device."""

    def __init__(self, username, password, *, decision="approve", code=None, verify=True):
        self.username = username
        self.password = password
        self.decision = decision
        self.code = code
        self.seen = []
        self._session = requests.Session()
        self._session.verify = verify

    def visit(self, url):
        """Goes to an address and on from there; hands back the last answer."""
        answer = self._get(url)
        for _ in range(20):
            if answer.is_redirect:
                answer = self._get(urllib.parse.urljoin(answer.url, answer.headers["location"]))
                continue
            page = Page(answer.text)
            if page.id in ("grantor-login", "grantor-consent", "grantor-device"):
                self.seen.append(page.id)
            fill = {
                "grantor-login": {"username": self.username, "password": self.password},
                "grantor-consent": {"decision": self.decision},
                "grantor-device": {"user_code": self.code} if self.code else {},
                "grantor-form-post": {},
            }.get(page.id)
            if fill is None:
                assert page.id != "grantor-error", answer.text
                return answer
            action, fields = page.forms[0]
            where = urllib.parse.urljoin(answer.url, action)
            answer = self._session.post(where, {**fields, **fill}, allow_redirects=False, timeout=30)
        raise AssertionError(f"still on the way after {self.seen}")

    def called_back(self, url):
        """The same for a client that listens nowhere; hands back the parameters that its callback would get."""
        try:
            self.visit(url)
        except CalledBack as callback:
            return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(callback.url).query))
        raise AssertionError("the way did not lead to the client")

    def visit_beside(self, url):
        """The same in a thread, for a client that waits in its own for what comes of it."""
        thread = threading.Thread(target=self.visit, args=(url,), daemon=True)
        thread.start()
        return thread

    def _get(self, url):
        if urllib.parse.urlsplit(url).port == NOBODY:
            raise CalledBack(url)
        started = time.monotonic()
        while True:
            try:
                return self._session.get(url, allow_redirects=False, timeout=30)
            except requests.ConnectionError:
                if time.monotonic() - started > CALLBACK_SECONDS:
                    raise
                time.sleep(0.05)

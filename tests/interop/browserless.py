"""A person at a browser as far as the server sees one, without Chromium: a cookie jar, pages and their forms."""

import base64
import hashlib
import html
import re
import secrets
import urllib.parse

import requests

CALLBACK = "https://app.example.com/cb"


class Astray(AssertionError):
    """The way did not lead back to the client; `reply` is where it ended."""

    def __init__(self, reply):
        super().__init__(f"led to {reply.url}: {reply.status_code} {reply.text}")
        self.reply = reply


def redemption(code, verifier):
    """What a client sends for its code."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": verifier,
    }


class Person:
    """Somebody with an account of the server, who says yes to what the applications ask for."""

    def __init__(self, server, username, password, verify=True):
        self._base = server.made["public_url"]
        self._login = {"username": username, "password": password}
        self._browser = requests.Session()
        self._browser.verify = verify

    def sign_in(self):
        """Before any application asks for it."""
        reply = self._submit(self._browser.get(f"{self._base}/account", timeout=30), self._login)
        assert reply.status_code == 303, f"{reply.status_code} {reply.text}"

    def ask(self, client_id, scope, **more):
        """Goes to the client's authorization request and back; hands back the answer and the verifier of its code."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        state = secrets.token_urlsafe(16)
        answer = self._authorize(
            {
                "client_id": client_id,
                "response_type": "code",
                "redirect_uri": CALLBACK,
                "scope": scope,
                "state": state,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
                **more,
            }
        )
        assert answer.get("state") == state, answer
        return answer, verifier

    def tokens(self, client_id, secret, scope):
        """Goes to the client's authorization request and back; hands back what the client gets for the code."""
        answer, verifier = self.ask(client_id, scope)
        assert "code" in answer, answer
        form = redemption(answer["code"], verifier)
        token = requests.post(
            f"{self._base}/oauth2/v2.0/token",
            form,
            auth=(client_id, secret),
            timeout=30,
            verify=self._browser.verify,
        )
        assert token.status_code == 200, token.text
        return token.json()

    def withdraw(self, client_id):
        """Takes back, on the account page, what the client was allowed."""
        page = self._browser.get(f"{self._base}/account", allow_redirects=False, timeout=30)
        line = re.search(
            rf'<form method="post" action="[^"]*/consents">(?:(?!</form>).)*value="{client_id}"', page.text, re.DOTALL
        )
        if not line:
            return page
        return self._submit(page, {}, line[0])

    def _authorize(self, request):
        reply = self._browser.get(
            f"{self._base}/oauth2/v2.0/authorize", params=request, allow_redirects=False, timeout=30
        )
        for _ in range(6):
            place = reply.headers.get("location", "")
            if place.startswith(CALLBACK):
                return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(place).query))
            if place:
                url = urllib.parse.urljoin(reply.url, place)
                reply = self._browser.get(url, allow_redirects=False, timeout=30)
            elif 'id="grantor-login"' in reply.text:
                reply = self._submit(reply, self._login)
            elif 'id="grantor-consent"' in reply.text:
                reply = self._submit(reply, {"decision": "approve"})
            else:
                break
        raise Astray(reply)

    def _submit(self, page, fields, form=None):
        """Sends a form of the page, the only one unless it is given, with what it hides."""
        form = form or page.text
        action = re.search(r'<form method="post" action="([^"]*)"', form)[1]
        hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form)
        answers = {name: html.unescape(value) for name, value in hidden} | fields
        url = urllib.parse.urljoin(page.url, html.unescape(action))
        return self._browser.post(url, answers, allow_redirects=False, timeout=30)

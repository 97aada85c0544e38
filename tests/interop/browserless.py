"""A person at a browser as far as the server sees one, without Chromium: a cookie jar, pages and their forms."""

import base64
import hashlib
import html
import re
import secrets
import urllib.parse

import requests

CALLBACK = "https://app.example.com/cb"


class Person:
    """Somebody with an account of the server, who says yes to what the applications ask for."""

    def __init__(self, server, username, password):
        self._base = server.made["public_url"]
        self._login = {"username": username, "password": password}
        self._browser = requests.Session()

    def tokens(self, client_id, secret, scope):
        """Goes to the client's authorization request and back; hands back what the client gets for the code."""
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
            }
        )
        assert answer.get("state") == state and "code" in answer, answer
        form = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
        }
        token = requests.post(f"{self._base}/oauth2/v2.0/token", form, auth=(client_id, secret), timeout=30)
        assert token.status_code == 200, token.text
        return token.json()

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
        raise AssertionError(f"led to {reply.url}: {reply.status_code} {reply.text}")

    def _submit(self, page, fields):
        """Sends the page's form, with what it hides."""
        action = re.search(r'<form method="post" action="([^"]*)"', page.text)[1]
        hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page.text)
        form = {name: html.unescape(value) for name, value in hidden} | fields
        url = urllib.parse.urljoin(page.url, html.unescape(action))
        return self._browser.post(url, form, allow_redirects=False, timeout=30)

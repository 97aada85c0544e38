"""The MCP SDK for TypeScript: clients that find their way from the first 401 of a server that is protected by Grantor."""

import json
import pathlib
import subprocess

import jwt
from person import Person
from starter import main
from tools import CALLBACK, PASSWORD, Tools

PROGRAM = pathlib.Path(__file__).with_name("client.mjs")


def called(tools, *arguments, person=None):
    """What a client printed at the end: the answer of the tool, and the claims of its token."""
    process = subprocess.Popen(
        ["node", str(PROGRAM), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        value = json.loads(line)
        if "browser" in value:
            assert f"resource={tools.url.replace(':', '%3A').replace('/', '%2F')}" in value["browser"], value
            print(person.called_back(value["browser"])["code"], file=process.stdin, flush=True)
    assert process.wait(60) == 0
    claims = jwt.decode(value["token"], options={"verify_signature": False})
    assert value["answer"] == {"result": 42}, value
    assert (claims["aud"], claims["scope"], claims["iss"]) == (tools.url, "tools", tools.issuer), claims
    return claims


def a_machine_finds_its_way_from_the_first_401():
    for tenant in ["default", "acme"]:
        with Tools(tenant) as tools:
            assert called(tools, "machine", tools.url, tools.secret, tools.issuer)["client_id"] == "agent"


def a_person_lets_an_application_call_tools():
    for tenant in ["default", "acme"]:
        with Tools(tenant) as tools:
            person = Person("bob", PASSWORD)
            claims = called(tools, "application", tools.url, CALLBACK, person=person)
            assert claims["client_id"] == "assistant", claims
            assert person.seen == ["grantor-login", "grantor-consent"], person.seen


main(a_machine_finds_its_way_from_the_first_401, a_person_lets_an_application_call_tools)

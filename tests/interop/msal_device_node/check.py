"""MSAL for Node connects a device."""

import json
import os
import pathlib
import subprocess

from device import API, Device
from starter import main

PROGRAM = pathlib.Path(__file__).with_name("device.mjs")


def printed(device, **options):
    """What the device printed behind its code, when somebody typed that code in."""
    authority = f"{device.made['public_url']}/default"
    environment = {**os.environ, "NODE_EXTRA_CA_CERTS": device.made["ca_file"]}
    process = subprocess.Popen(
        ["node", str(PROGRAM), authority, "tv", f"{API}/read"], stdout=subprocess.PIPE, text=True, env=environment
    )
    told = json.loads(process.stdout.readline())
    assert told["verificationUri"] == f"{authority}/device", told
    assert told["userCode"] in told["message"], told
    person = device.person(code=told["userCode"], **options)
    person.visit(told["verificationUri"])
    found = [json.loads(line) for line in process.stdout]
    assert process.wait(60) == 0
    return found


def a_device_is_connected_and_refreshed_twice():
    with Device() as device:
        found = printed(device)
        assert [answer.get("username") for answer in found] == [device.made["username"]] * 3, found
        assert len({answer["accessToken"] for answer in found}) == 3, found
        assert f"{API}/read" in found[0]["scopes"], found


def a_no_is_told():
    with Device() as device:
        (answer,) = printed(device, decision="deny")
        assert answer["errorMessage"] == "access_denied", answer


main(a_device_is_connected_and_refreshed_twice, a_no_is_told)

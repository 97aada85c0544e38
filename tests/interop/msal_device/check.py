"""MSAL for Python connects a device: the code, the person at another browser, the polls, the tokens, the refresh."""

import threading

import jwt
import msal
from device import API, Device
from starter import main


def application(device, client_id="tv"):
    return msal.PublicClientApplication(
        client_id,
        authority=f"{device.made['public_url']}/default",
        instance_discovery=False,
        verify=device.made["ca_file"],
    )


def a_device_is_connected_while_it_polls():
    with Device() as device:
        app = application(device)
        flow = app.initiate_device_flow([f"{API}/read"])
        assert flow["verification_uri"] == f"{device.made['public_url']}/default/device", flow
        assert flow["user_code"] in flow["message"] and flow["verification_uri"] in flow["message"], flow
        assert (flow["interval"], flow["expires_in"]) == (5, 900), flow

        # The person reads the code off the screen and types it while the device has begun to poll.
        person = device.person()
        thread = threading.Timer(1, lambda: person.visit(flow["verification_uri_complete"]))
        thread.start()
        answer = app.acquire_token_by_device_flow(flow)
        thread.join(30)
        assert "access_token" in answer, answer
        # The code is compared again after signing in, and then there is the question.
        assert person.seen == ["grantor-device", "grantor-login", "grantor-device", "grantor-consent"], person.seen
        assert answer["id_token_claims"]["preferred_username"] == device.made["username"], answer
        claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
        assert (claims["aud"], claims["scope"], claims["client_id"]) == (API, "read", "tv"), claims

        (account,) = app.get_accounts()
        silent = app.acquire_token_silent([f"{API}/read"], account, force_refresh=True)
        assert silent and silent["access_token"] != answer["access_token"], silent


def a_person_who_types_the_code_and_says_no_ends_it():
    with Device() as device:
        app = application(device)
        flow = app.initiate_device_flow([f"{API}/read"])
        device.person(code=flow["user_code"].lower(), decision="deny").visit(flow["verification_uri"])
        answer = app.acquire_token_by_device_flow(flow)
        assert (answer["error"], answer["error_codes"]) == ("access_denied", [4303]), answer


def a_client_that_may_not_is_told_so():
    with Device() as device:
        flow = application(device, device.made["app_client_id"]).initiate_device_flow([device.made["scope"]])
        assert (flow["error"], flow["error_codes"]) == ("unauthorized_client", [3002]), flow


main(
    a_device_is_connected_while_it_polls,
    a_person_who_types_the_code_and_says_no_ends_it,
    a_client_that_may_not_is_told_so,
)

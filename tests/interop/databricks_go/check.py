"""The Databricks SDK for Go signs machines and people in, set up by the lines of docs/databricks.md."""

import json
import pathlib
import subprocess
import tempfile

from starter import main, run
from workspace import Workspace

HERE = pathlib.Path(__file__).parent
BUILD_SECONDS = 900

built = tempfile.TemporaryDirectory()
program = str(pathlib.Path(built.name) / "databricks_go")


def the_program_is_built():
    run(["go", "build", "-o", program, "."], cwd=HERE, timeout=BUILD_SECONDS)


def printed(*arguments, person=None):
    """What the program printed, in order, when `person` follows every address that it would open a browser with."""
    process = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = []
    for line in process.stdout:
        (name, value) = next(iter(json.loads(line).items()))
        if name == "browser":
            person.visit_beside(value)
        else:
            found.append((name, value))
    assert process.wait(60) == 0, process.stderr.read()
    return found


def machine_signs_in(workspace, *discovery):
    ((name, value),) = printed("machine", workspace.root, workspace.client_id, workspace.secret, *discovery)
    kind, token = value.split(" ")
    assert (name, kind) == ("authorization", "Bearer"), value
    assert workspace.verify(token)["scope"] == "all-apis"


def a_machine_finds_everything_by_the_host():
    with Workspace() as workspace:
        machine_signs_in(workspace)


def a_machine_of_another_tenant_is_told_where_its_document_is():
    with Workspace("acme") as workspace:
        for below in ["acme/oidc", "oidc/accounts/acme"]:
            machine_signs_in(workspace, f"{workspace.root}/{below}/.well-known/oauth-authorization-server")


def signs_in(workspace, *arguments):
    person = workspace.person()
    tokens = printed(*arguments, person=person)
    assert person.seen == ["grantor-login", "grantor-consent"], person.seen
    assert [name for name, _ in tokens] == ["token", "refreshed", "refreshed"], tokens
    assert len({token for _, token in tokens}) == 3
    for _, token in tokens:
        claims = workspace.verify(token)
        assert (claims["client_id"], claims["scope"]) == ("databricks-cli", "all-apis"), claims


def a_person_signs_in_to_a_workspace_and_is_refreshed():
    with Workspace() as workspace:
        signs_in(workspace, "workspace", workspace.host)


def a_person_signs_in_to_an_account_and_is_refreshed():
    for tenant in ["default", "acme"]:
        with Workspace(tenant) as workspace:
            signs_in(workspace, "account", workspace.root, tenant)


main(
    the_program_is_built,
    a_machine_finds_everything_by_the_host,
    a_machine_of_another_tenant_is_told_where_its_document_is,
    a_person_signs_in_to_a_workspace_and_is_refreshed,
    a_person_signs_in_to_an_account_and_is_refreshed,
)

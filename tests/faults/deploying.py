"""What docs/deploying.md shows, as far as it can be tried without a container engine and a systemd."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import requests
from processes import free_port, replaced, running
from starter import BINARY, ROOT, main, run

PAGE = (ROOT / "docs/deploying.md").read_text()


def block(language, number=0):
    return PAGE.split(f"```{language}\n")[number + 1].split("```")[0]


def the_container_file_copies_what_is_there():
    copied = [
        path
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", block("dockerfile"), re.MULTILINE)
        for path in line.split()
    ]
    assert {"src", "migrations", "templates", "build.rs", "Cargo.toml"} <= set(copied), copied
    for path in copied:
        assert (ROOT / path).exists(), f"there is no {path}"
    # What is compiled in lies in one of the copied folders.
    for file in (ROOT / "src").rglob("*.rs"):
        for included in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', file.read_text()):
            path = (file.parent / included).resolve().relative_to(ROOT)
            assert path.parts[0] in copied, f"{file} includes {path}, which is not copied"
    # The compiler is not older than the crate says.
    (wanted,) = re.findall(r'^rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert f"rust:{wanted}-" in block("dockerfile"), wanted


def the_environment_file_starts_a_server():
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        text = replaced(block("sh"), {"127.0.0.1:8080": f"127.0.0.1:{port}", "/var/lib/grantor": folder})
        environment = {**os.environ, **dict(line.split("=", 1) for line in text.splitlines())}
        address = f"http://127.0.0.1:{port}"
        with running([BINARY, "serve"], f"{address}/readyz", env=environment, stderr=subprocess.DEVNULL):
            issuer = requests.get(f"{address}/.well-known/openid-configuration", timeout=30).json()["issuer"]
            assert issuer == "https://login.example.com", issuer
        assert sorted(path.name for path in pathlib.Path(folder).glob("*")) == ["grantor.db", "keys"]
        # Commands read the same file, in the way that the page shows.
        (command,) = re.findall(r"env \$\(cat \S+\) grantor .*?(?=  )", PAGE)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            run(["sh", "-c", replaced(command, {"/etc/grantor/env": file.name, " grantor ": f" {BINARY} "})])


def the_unit_is_one_for_systemd():
    unit = block("ini")
    if not shutil.which("systemd-analyze"):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "grantor.service"
        # The binary where it lies here; the rest as it stands.
        path.write_text(replaced(unit, {"/usr/local/bin/grantor": BINARY}))
        done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=60)
        said = [line for line in (done.stdout + done.stderr).splitlines() if "grantor.service" in line]
        assert done.returncode == 0 and not said, (done.returncode, said)
        path.write_text(unit.replace("NoNewPrivileges", "NoNewPrivilege"))
        said = run(["sh", "-c", f"systemd-analyze verify {path} 2>&1; true"])
        assert "NoNewPrivilege" in said, "a word that systemd does not know is noticed"


if __name__ == "__main__":
    main(the_container_file_copies_what_is_there, the_environment_file_starts_a_server, the_unit_is_one_for_systemd)

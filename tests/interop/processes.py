"""Programs that run beside the server in a test: started, waited for and ended; and nginx among them."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import requests
from starter import START_SECONDS


def free_port(address="127.0.0.1"):
    with socket.socket() as taken:
        taken.bind((address, 0))
        return taken.getsockname()[1]


def wait_for(url, process):
    """Until something answers there."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(url, timeout=5).status_code < 500:
                return
        assert time.monotonic() < deadline, f"nothing answers at {url}"
        time.sleep(0.05)


@contextlib.contextmanager
def running(command, url, **options):
    """A process, from when it answers at `url` until it is told to end."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    try:
        wait_for(url, process)
        yield
    finally:
        process.terminate()
        process.wait(20)


def replaced(text, replace):
    """A documented example with a reader's own values in place of the example's."""
    for example, value in replace.items():
        assert example in text, f"the example does not say {example}"
        text = text.replace(example, value)
    return text


@contextlib.contextmanager
def nginx(http, log="crit"):
    """nginx with what stands in its `http` block, from when it is up until it is told to end."""
    port = free_port()
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    assert program, "nginx is not installed"
    with tempfile.TemporaryDirectory(prefix="grantor-nginx-") as folder:
        temporary = "".join(
            f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.getuid() == 0 else ""
        conf = pathlib.Path(folder) / "nginx.conf"
        conf.write_text(
            f"daemon off;\n{user}worker_processes 1;\npid {folder}/pid;\nerror_log stderr {log};\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{temporary}"
            f"server {{\nlisten 127.0.0.1:{port};\nlocation = /alive {{ return 204; }}\n}}\n{http}}}\n"
        )
        with running([program, "-p", folder, "-c", str(conf), "-e", "stderr"], f"http://127.0.0.1:{port}/alive"):
            yield

"""The local stack as a process, for peers that talk to it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

LOCAL = sys.argv[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


@contextmanager
def stack(region, **variables):
    """The stack in a Region, as the port of the router and that of the stand-in for AWS."""
    port, aws_port = free_port(), free_port()
    environment = {**os.environ, "AWS_REGION": region, **variables}
    command = [LOCAL, "--port", str(port), "--aws-port", str(aws_port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(port)
        wait_for(aws_port)
        yield port, aws_port
    finally:
        process.terminate()
        process.wait()


def call(port, path, body=None):
    """Status and JSON of a GET, or of a POST with a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request) as response:
            text = response.read()
            return response.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())

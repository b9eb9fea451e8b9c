"""The local stack as a process, for peers that talk to it."""

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


class Lambda:
    """A function's bootstrap, and the Runtime API that it asks for events."""

    def __init__(self, bootstrap, variables):
        self.bootstrap, self.variables = bootstrap, variables
        self.events, self.answers = queue.Queue(), queue.Queue()

    def __enter__(self):
        events, answers = self.events, self.answers

        class Runtime(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = events.get()
                self.send_response(200)
                self.send_header("lambda-runtime-aws-request-id", "r1")
                self.send_header("lambda-runtime-deadline-ms", str(int((time.time() + 60) * 1000)))
                self.send_header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:f")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                answers.put((self.path, self.rfile.read(int(self.headers["content-length"])).decode()))
                self.send_response(202)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        environment = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}", "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", **self.variables,
        }
        self.process = subprocess.Popen([self.bootstrap], env=environment, stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.server.shutdown()

    def invoke(self, event):
        """The function's answer, as text."""
        self.events.put(json.dumps(event).encode())
        path, answer = self.answers.get(timeout=60)
        assert path.endswith("/response"), answer
        return answer

"""Every function with every event by `cargo lambda watch` and `cargo lambda invoke`, against the local stand-ins: `make cargo-lambda`."""

import json
import os
import subprocess
import sys
from pathlib import Path

from events import EVENTS, binary, check
from stack import LOCAL, free_port, wait_for

CARGO_LAMBDA = Path(sys.argv[2]).resolve()


def environment(aws_port):
    address = f"http://127.0.0.1:{aws_port}"
    return {
        **os.environ, "BEDROCK_ENDPOINT": address, "CLOUDWATCH_ENDPOINT": address, "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "METRICS_NAMESPACE": "off",
    }


def invoke(path, port):
    command = [CARGO_LAMBDA, "lambda", "invoke", binary(path.stem), "--invoke-port", port, "--data-file", path]
    answer = subprocess.run([str(part) for part in command], text=True, capture_output=True, timeout=300)
    assert answer.returncode == 0, f"{path.stem}: {answer.stderr}"
    return json.loads(answer.stdout)


def main():
    aws_port, port = free_port(), free_port()
    stand_in = subprocess.Popen([LOCAL, "--port", str(free_port()), "--aws-port", str(aws_port)], stdout=subprocess.DEVNULL)
    watch = None
    try:
        wait_for(aws_port)
        watch = subprocess.Popen(
            [CARGO_LAMBDA, "lambda", "watch", "--ignore-changes", "--invoke-port", str(port)], env=environment(aws_port),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(port)
        for path in EVENTS:
            print(f"{path.stem}: {check(path.stem, invoke(path, port))}", flush=True)
    finally:
        for process in filter(None, (watch, stand_in)):
            process.terminate()
            process.wait()


main()

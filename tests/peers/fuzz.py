"""Schemathesis reads the OpenAPI document from the local stack and tries it out: good requests, bad ones, and wild ones.

`make fuzz` runs it. No answer may be a server error, have a status, a content type or a shape that the document does not name,
and no request that breaks the schema may be accepted. The local stack asks nobody for credentials, so the checks on those are
left out; so is the one that wants every request of the right shape to be accepted, because a model, a tool or a file in it may
still be wrong.
"""

import re
import subprocess
import sys
from pathlib import Path

from stack import stack

CASES = 5_000
LEFT_OUT = "ignored_auth,missing_required_header,positive_data_acceptance"

with stack("us-east-1") as (port, _):
    command = [
        Path(sys.executable).with_name("schemathesis"),
        "run",
        f"http://127.0.0.1:{port}/openapi.json",
        "--phases=examples,coverage,fuzzing",
        "--max-examples=300",
        "--continue-on-failure",
        f"--exclude-checks={LEFT_OUT}",
        "--header=Authorization: nobody looks at it here",
        "--seed=1",
        "--no-color",
    ]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True)

print(run.stdout)
cases = int(re.search(r"(\d+) generated", run.stdout)[1])
if run.returncode or cases < CASES:
    raise SystemExit(f"{cases} cases, of which {CASES} were wanted; exit status {run.returncode}")
print(f"{cases} cases: ok")

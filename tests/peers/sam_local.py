"""Every function with every event in SAM's container, and the API in front of them, against the local stand-ins: `make sam-local`.

Needs a Docker daemon, and its client. Everything happens in target/sam-local, and what is started is stopped. The base image is made
of Debian's packages, because SAM's own may be out of reach; it is tagged as SAM's and removed again.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from events import EVENTS, check, function
from stack import LOCAL, free_port, wait_for

SAM = Path(sys.argv[2]).resolve()
ROOT = Path.cwd()
WORK = ROOT / "target/sam-local"
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
IMAGES = [f"public.ecr.aws/lambda/provided:al2023-{kind}{ARCHITECTURE}" for kind in ("", "rapid-")]
# Nothing is signed for real, and SAM must not ask who is calling.
QUIET = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
ENVIRONMENT = {**QUIET, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1", "PATH": f"{SAM.parent}:{os.environ['PATH']}"}


def run(*command, **more):
    return subprocess.run([str(part) for part in command], check=True, text=True, env=ENVIRONMENT, **more)


def base_image():
    """A root of Debian's packages with what a Rust bootstrap needs."""
    root, packages = WORK / "root", WORK / "packages"
    for folder in (root, packages):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    run("apt-get", "download", "-qq", "busybox-static", "libc6", "libgcc-s1", "ca-certificates", cwd=packages)
    for package in packages.glob("*.deb"):
        run("dpkg", "-x", package, root)
    (root / "bin").mkdir(exist_ok=True)
    for tool in ("sh", "mv", "chmod", "mkdir", "ls"):
        (root / "bin" / tool).unlink(missing_ok=True)
        (root / "bin" / tool).symlink_to("busybox")
    for folder in ("var/task", "var/runtime", "tmp"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    archive = WORK / "root.tar"
    run("tar", "-C", root, "-cf", archive, ".")
    changes = ["ENV LAMBDA_TASK_ROOT=/var/task", "ENV LAMBDA_RUNTIME_DIR=/var/runtime", "WORKDIR /var/task"]
    options = [part for change in changes for part in ("--change", change)]
    run("docker", "import", *options, archive, IMAGES[0], stdout=subprocess.DEVNULL)


def build():
    """The application for this machine's architecture, in a folder of its own."""
    application = WORK / "application"
    shutil.rmtree(application, ignore_errors=True)
    tracked = run("git", "ls-files", stdout=subprocess.PIPE).stdout.splitlines()
    for name in tracked:
        target = application / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    template = (application / "template.yaml").read_text()
    template = template.replace("Architectures: [arm64]", f"Architectures: [{ARCHITECTURE}]")
    (application / "template.yaml").write_text(template)
    run(SAM, "build", cwd=application)
    return application


def options(aws_port):
    gateway = run("docker", "network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}", stdout=subprocess.PIPE).stdout.strip()
    # Some daemons tell no gateway before their first container.
    gateway = gateway or "host-gateway"
    address = f"http://host.docker.internal:{aws_port}"
    return [
        "--skip-pull-image", "--add-host", f"host.docker.internal:{gateway}", "--env-vars", ROOT / "local/sam.json",
        "--parameter-overrides", f"BedrockEndpoint={address} CloudWatchEndpoint={address} ResponseMode=buffered",
    ]


def invoke_each(application, more):
    for path in EVENTS:
        name = function(path.stem)
        answer = run(SAM, "local", "invoke", name, "-e", path, *more, cwd=application, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        lines = [line for line in answer.stdout.splitlines() if line.startswith("{") and '"_aws"' not in line]
        print(f"{path.stem}: {check(path.stem, json.loads(lines[-1]))}", flush=True)


def ask_the_api(application, more):
    port = free_port()
    api = subprocess.Popen(
        [str(part) for part in (SAM, "local", "start-api", "--port", port, *more)], cwd=application, env=ENVIRONMENT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        for path, body in (("/health", None), ("/invoke", {"prompt": "Why is the sky blue?"}), ("/embeddings", {"texts": ["a", "b"]})):
            data = None if body is None else json.dumps(body).encode()
            # SAM serves both APIs at one address, and asks the authorizer for what is in both; it knows no usage plans.
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"x-api-key": "k" * 20})
            # Containers are made when they are first needed.
            with urllib.request.urlopen(request, timeout=60) as response:
                assert response.status == 200 and json.loads(response.read())
            print(f"start-api {path}: 200", flush=True)
    finally:
        api.terminate()
        api.wait()


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["docker", "info"], capture_output=True).returncode != 0:
        raise SystemExit("no Docker daemon answers; start one, for example with `dockerd &` as root")
    base_image()
    # A second run need not build again: `make sam-local BUILT=1`.
    application = WORK / "application" if os.environ.get("BUILT") else build()
    aws_port = free_port()
    stand_in = subprocess.Popen(
        [LOCAL, "--listen", "0.0.0.0", "--port", str(free_port()), "--aws-port", str(aws_port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(aws_port)
        more = options(aws_port)
        invoke_each(application, more)
        ask_the_api(application, more)
    finally:
        stand_in.terminate()
        stand_in.wait()
        subprocess.run(["docker", "rmi", "-f", *IMAGES], capture_output=True)


main()

"""Independent peers on both sides of the wire: boto3 asks our stand-in, and the router asks MiniStack's Bedrock.

`make peers` runs it. Everything stays on this machine, and every process ends with it.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

LOCAL = sys.argv[1]
HAIKU = "us.anthropic.claude-haiku-5-5"


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


def refusal(client, **request):
    try:
        client.converse(**request)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return None


def boto3_asks_the_stand_in():
    port, aws_port = free_port(), free_port()
    stack = subprocess.Popen([LOCAL, "--port", str(port), "--aws-port", str(aws_port)], stdout=subprocess.DEVNULL)
    try:
        wait_for(aws_port)
        client = boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{aws_port}",
            aws_access_key_id="example",
            aws_secret_access_key="example",
            config=Config(retries={"total_max_attempts": 1}),
        )
        messages = [{"role": "user", "content": [{"text": "Why is the sky blue?"}]}]
        reply = client.converse(modelId=HAIKU, messages=messages, inferenceConfig={"maxTokens": 100})
        assert reply["stopReason"] == "end_turn" and reply["usage"]["outputTokens"] > 0, reply
        bare = refusal(client, modelId=HAIKU.removeprefix("us."), messages=messages)
        assert bare == ("ValidationException", 400), bare
        dead = refusal(client, modelId="anthropic.claude-3-haiku-20240307-v1:0", messages=messages)
        assert dead == ("ResourceNotFoundException", 404), dead
        fault = json.dumps({"error": "ThrottlingException", "times": 1}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{aws_port}/_simulation/faults", fault, {"content-type": "application/json"}
        )
        urllib.request.urlopen(request)
        throttled = refusal(client, modelId=HAIKU, messages=messages)
        assert throttled == ("ThrottlingException", 429), throttled
    finally:
        stack.terminate()
        stack.wait()


def the_router_asks_ministack():
    port = free_port()
    ministack = subprocess.Popen(
        [Path(sys.executable).with_name("ministack")],
        env={**os.environ, "GATEWAY_PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        asked = subprocess.run(
            [LOCAL, "ask", "--aws", "--json", "Explain tides"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        answer = json.loads(asked.stdout)
        assert "ministack" in answer["text"], answer
        assert answer["cost"]["totalUsd"] > 0 and answer["usage"]["inputTokens"] > 0, answer
    finally:
        ministack.terminate()
        ministack.wait()


for check in (boto3_asks_the_stand_in, the_router_asks_ministack):
    check()
    print(f"{check.__name__}: ok")

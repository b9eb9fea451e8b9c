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
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

LOCAL = sys.argv[1]
MODELS = json.loads((Path(__file__).parents[2] / "shared" / "models.json").read_text(encoding="utf-8"))["models"]
HAIKU = "us.anthropic.claude-haiku-5-5"


# What Bedrock answers with a ValidationException.
REFUSED = [
    ("nobody.nothing", {}),
    ("mistral.mistral-7b-instruct-v0:2", {"system": [{"text": "Be brief."}]}),
    ("us.anthropic.claude-opus-5-5", {"inferenceConfig": {"temperature": 0.5}}),
    ("us.anthropic.claude-haiku-4-5-20251001-v1:0", {"inferenceConfig": {"temperature": 0.5, "topP": 0.5}}),
    ("amazon.nova-lite-v1:0", {"inferenceConfig": {"maxTokens": 10_001}}),
    ("amazon.nova-lite-v1:0", {"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}),
    ("amazon.nova-lite-v1:0", {"messages": [{"role": "user", "content": [{"text": " "}]}]}),
    ("amazon.nova-micro-v1:0", {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"x"}}}]}]}),
    ("amazon.titan-embed-text-v2:0", {}),
]


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


@contextmanager
def stand_in(region):
    """The stand-in for a Region, as boto3's client of it and its port."""
    port, aws_port = free_port(), free_port()
    environment = {**os.environ, "AWS_REGION": region}
    command = [LOCAL, "--port", str(port), "--aws-port", str(aws_port)]
    stack = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(aws_port)
        client = boto3.client(
            "bedrock-runtime",
            region_name=region,
            endpoint_url=f"http://127.0.0.1:{aws_port}",
            aws_access_key_id="example",
            aws_secret_access_key="example",
            config=Config(retries={"total_max_attempts": 1}),
        )
        yield client, aws_port
    finally:
        stack.terminate()
        stack.wait()


def ids_from(model, region):
    """Every id by which a model can be called from a Region."""
    bare = [model["id"]] if region in model["regions"] else []
    return bare + [f"{p['scope']}.{model['id']}" for p in model["profiles"] if region in p["from"]]


def boto3_gets_an_answer_of_every_living_text_model():
    today = time.strftime("%Y-%m-%d", time.gmtime())
    converses = [m for m in MODELS if m["kind"] == "text" and m["capabilities"].get("converse")]
    living = [m for m in converses if m["lifecycle"].get("endOfLife", "9999") > today and (m["regions"] or m["profiles"])]
    waiting = {m["id"]: m for m in living}
    messages = [{"role": "user", "content": [{"text": "Why is the sky blue?"}]}]
    asked = 0
    while waiting:
        model = next(iter(waiting.values()))
        regions = {*model["regions"], *(r for p in model["profiles"] for r in p["from"])}
        region = max(regions, key=lambda r: (sum(bool(ids_from(m, r)) for m in waiting.values()), r))
        with stand_in(region) as (client, _):
            for model in [m for m in waiting.values() if ids_from(m, region)]:
                for id in ids_from(model, region):
                    reply = client.converse(modelId=id, messages=messages, inferenceConfig={"maxTokens": 200})
                    assert reply["stopReason"] == "end_turn" and reply["usage"]["outputTokens"] > 0, (id, reply)
                    asked += 1
                del waiting[model["id"]]
    print(f"{len(living)} models, {asked} ids")


def boto3_is_refused_as_by_bedrock():
    with stand_in("us-east-1") as (client, aws_port):
        messages = [{"role": "user", "content": [{"text": "Why is the sky blue?"}]}]
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
        for id, extra in REFUSED:
            refused = refusal(client, modelId=id, **{"messages": messages, **extra})
            assert refused == ("ValidationException", 400), (id, extra, refused)


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


for check in (boto3_gets_an_answer_of_every_living_text_model, boto3_is_refused_as_by_bedrock, the_router_asks_ministack):
    check()
    print(f"{check.__name__}: ok")

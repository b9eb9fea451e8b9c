"""Independent peers on both sides of the wire: boto3 asks our stand-in, and the router asks MiniStack's Bedrock.

`make peers` runs it. Everything stays on this machine, and every process ends with it.
"""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator
from stack import LOCAL, call, free_port, stack, wait_for

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


def refusal(client, **request):
    try:
        client.converse(**request)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return None


@contextmanager
def stand_in(region):
    """The stand-in for a Region, as boto3's client of it and its port."""
    with stack(region) as (_, aws_port):
        client = boto3.client(
            "bedrock-runtime",
            region_name=region,
            endpoint_url=f"http://127.0.0.1:{aws_port}",
            aws_access_key_id="example",
            aws_secret_access_key="example",
            config=Config(retries={"total_max_attempts": 1}),
        )
        yield client, aws_port


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


def boto3_reads_the_stand_ins_streams():
    messages = [{"role": "user", "content": [{"text": "Use weather. Why?"}]}]
    tools = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}}]}
    with stand_in("us-east-1") as (client, _):
        for extra in ({}, {"toolConfig": tools}):
            stream = client.converse_stream(modelId=HAIKU, messages=messages, inferenceConfig={"maxTokens": 200}, **extra)
            events = list(stream["stream"])
            kinds = [next(iter(event)) for event in events]
            assert kinds[0] == "messageStart" and kinds[-2:] == ["messageStop", "metadata"], kinds
            assert events[-2]["messageStop"]["stopReason"] == ("tool_use" if extra else "end_turn"), events
            assert events[-1]["metadata"]["usage"]["outputTokens"] > 0, events


def boto3_is_refused_as_by_bedrock():
    with stand_in("us-east-1") as (client, aws_port):
        messages = [{"role": "user", "content": [{"text": "Why is the sky blue?"}]}]
        bare = refusal(client, modelId=HAIKU.removeprefix("us."), messages=messages)
        assert bare == ("ValidationException", 400), bare
        dead = refusal(client, modelId="anthropic.claude-3-haiku-20240307-v1:0", messages=messages)
        assert dead == ("ResourceNotFoundException", 404), dead
        call(aws_port, "/_simulation/faults", {"error": "ThrottlingException", "times": 1})
        throttled = refusal(client, modelId=HAIKU, messages=messages)
        assert throttled == ("ThrottlingException", 429), throttled
        for id, extra in REFUSED:
            refused = refusal(client, modelId=id, **{"messages": messages, **extra})
            assert refused == ("ValidationException", 400), (id, extra, refused)


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
SCHEMA = json.dumps(
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
)
TOOL = {"toolSpec": {"name": "clock", "description": "Tells the time.", "inputSchema": {"json": {"type": "object"}}}}
POINT = {"cachePoint": {"type": "default", "ttl": "1h"}}
TOOL_LOOP = [
    {"role": "user", "content": [{"text": "What time is it?"}]},
    {
        "role": "assistant",
        "content": [
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sealed"}}},
            {"toolUse": {"toolUseId": "t1", "name": "clock", "input": {}}},
            {"toolUse": {"toolUseId": "t2", "name": "clock", "input": {"zone": "UTC"}}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"toolResult": {"toolUseId": "t2", "content": [{"json": {"time": "noon"}}], "status": "success"}},
            {"toolResult": {"toolUseId": "t1", "content": [{"text": "noon"}], "status": "error"}},
        ],
    },
]
# Every part of a request, in wholes that a caller might send.
REQUESTS = [
    {"prompt": "Why?", "system": "Be brief.", "inferenceConfig": {"temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]}},
    {"messages": [{"role": "user", "content": [{"text": "See?"}, {"image": {"format": "png", "source": {"bytes": PIXEL}}}]}]},
    {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"document": {"format": "txt", "name": "Notes", "source": {"bytes": "aGk="}}},
                    {"document": {"name": "More", "source": {"content": [{"text": "hi"}]}, "citations": {"enabled": True}}},
                    {"searchResult": {"source": "https://example.com", "title": "t", "content": [{"text": "x"}]}},
                    {"text": "What do they say?"},
                ],
            }
        ]
    },
    {"messages": [{"role": "user", "content": [{"text": "x"}, {"video": {"format": "mp4", "source": {"bytes": "aGk="}}}]}]},
    {"messages": [{"role": "user", "content": [{"text": "x"}, {"audio": {"format": "wav", "source": {"bytes": "aGk="}}}]}]},
    {"messages": TOOL_LOOP},
    {"messages": TOOL_LOOP, "toolConfig": {"tools": [TOOL, POINT], "toolChoice": {"auto": {}}}},
    {"prompt": "Time?", "toolConfig": {"tools": [TOOL], "toolChoice": {"tool": {"name": "clock"}}}},
    {"prompt": "Who?", "outputConfig": {"effort": "max", "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": SCHEMA, "name": "who"}}}}},
    {"prompt": "Hard?", "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 4000}}},
    {"prompt": "Hard?", "additionalModelRequestFields": {"thinking": {"type": "disabled"}}, "outputConfig": {"effort": "xhigh"}},
    {"prompt": "Again?", "system": "word " * 6000, "promptCache": "1h"},
    {"messages": [{"role": "user", "content": [{"text": "x"}, POINT]}], "system": [{"text": "y"}, POINT]},
    {
        "prompt": "Safe?",
        "guardrailConfig": {"guardrailIdentifier": "abc1", "guardrailVersion": "DRAFT"},
        "requestMetadata": {"team": "blue"},
        "serviceTier": {"type": "priority"},
        "performanceConfig": {"latency": "optimized"},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "projectIdentifier": "blue",
    },
    {
        "messages": [{"role": "user", "content": [{"guardContent": {"text": {"text": "x", "qualifiers": ["query"]}}}]}],
        "guardrailConfig": {"guardrailIdentifier": "abc1", "guardrailVersion": "1", "trace": "enabled_full"},
    },
    {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]},
]


def breaches(shape, value, at=""):
    """What the service model says and botocore's validator does not look at: patterns and enumerations."""
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        for name, part in value.items():
            yield from breaches(shape.members[name], part, f"{at}.{name}")
    elif shape.type_name == "list":
        for index, part in enumerate(value):
            yield from breaches(shape.member, part, f"{at}[{index}]")
    elif shape.type_name == "map":
        for name, part in value.items():
            yield from breaches(shape.key, name, f"{at}.{name}")
            yield from breaches(shape.value, part, f"{at}.{name}")
    elif shape.type_name == "string":
        pattern = shape.metadata.get("pattern")
        if shape.enum and value not in shape.enum:
            yield f"{at}: {value!r} is none of {shape.enum}"
        if pattern and not re.fullmatch(pattern, value):
            yield f"{at}: {value!r} does not match {pattern}"


def what_reaches_the_wire_satisfies_the_service_model():
    shape = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape
    today = time.strftime("%Y-%m-%d", time.gmtime())
    seen = 0
    with stack("us-east-1", DATA_RESIDENCY="global", MAX_COST_USD="100") as (port, aws_port):
        alive = [m for m in MODELS if m["kind"] == "text" and m["lifecycle"].get("endOfLife", "9999") > today]
        for model in [m for m in alive if ids_from(m, "us-east-1")]:
            answered = 0
            for request in REQUESTS:
                status, answer = call(port, "/invoke", {**request, "model": model["id"]})
                assert status in (200, 422), (model["id"], request, answer)
                if status == 200:
                    repaired = [a for a in answer["routing"]["attempts"] if a["outcome"] != "answered"]
                    sealed = any("reasoning of another model" in warning for warning in answer["warnings"])
                    assert not repaired or sealed, (model["id"], request, answer)
                    answered += 1
            _, sent = call(aws_port, "/_simulation/requests")
            for one in sent[-answered:] if answered else []:
                parameters = {"modelId": one["modelId"], **one["body"]}
                report = ParamValidator().validate(parameters, shape)
                assert not report.has_errors(), (model["id"], report.generate_report())
                assert not list(breaches(shape, parameters)), (model["id"], list(breaches(shape, parameters)))
                seen += 1
    assert seen > 500, seen
    print(f"{seen} requests")


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


for check in (
    boto3_gets_an_answer_of_every_living_text_model,
    boto3_reads_the_stand_ins_streams,
    boto3_is_refused_as_by_bedrock,
    what_reaches_the_wire_satisfies_the_service_model,
    the_router_asks_ministack,
):
    check()
    print(f"{check.__name__}: ok")

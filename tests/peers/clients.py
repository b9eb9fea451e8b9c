"""Existing clients, unmodified, with nothing changed but the address: OpenAI's SDK, LangChain, Pydantic AI, boto3, OpenAI's and AWS's for Node.

Against `cargo run`, and against the real bootstraps in cargo-lambda's emulator of the Runtime API: `make clients`.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import boto3
import botocore.config
import openai
from botocore.exceptions import ClientError, EventStreamError
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from stack import LOCAL, free_port, stack, wait_for

CARGO_LAMBDA, NODE = Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
HERE = Path(__file__).parent


class Author(BaseModel):
    name: str
    born: int


def tool(name):
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "description": f"The {name} of a city.", "parameters": parameters}}


def fault(server, **fields):
    request = urllib.request.Request(
        f"{server.aws}/_simulation/faults", json.dumps(fields).encode(), {"content-type": "application/json"}, method="POST")
    urllib.request.urlopen(request).read()


def no_faults(server):
    urllib.request.urlopen(urllib.request.Request(f"{server.aws}/_simulation/faults", method="DELETE")).read()


def openai_chat(server):
    client = openai.OpenAI(base_url=f"{server.router}/v1", api_key="none")
    said = client.chat.completions.create(
        model="auto:lower-cost", messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why is the sky blue?"}])
    assert "simulation" in said.choices[0].message.content and said.choices[0].finish_reason == "stop"
    assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens > 0
    assert said.model_extra["routing"]["modelId"] == said.model and said.model_extra["cost"]["totalUsd"] > 0
    seen = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}]
    assert client.chat.completions.create(model="auto", messages=[{"role": "user", "content": seen}]).choices[0].message.content
    parsed = client.chat.completions.parse(
        model="auto", messages=[{"role": "user", "content": "Who wrote Faust?"}], response_format=Author)
    assert isinstance(parsed.choices[0].message.parsed, Author)


def openai_streams(server):
    client = openai.OpenAI(base_url=f"{server.router}/v1", api_key="none")
    messages = [{"role": "user", "content": "Use weather and time for Oslo."}]
    tools = [tool("weather"), tool("time")]
    with client.chat.completions.stream(
            model="claude-sonnet-5-5", messages=messages, tools=tools, reasoning_effort="high", stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        said = stream.get_final_completion()
    message = said.choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["weather", "time"], message
    assert all(isinstance(json.loads(call.function.arguments), dict) for call in message.tool_calls)
    assert said.choices[0].finish_reason == "tool_calls" and said.usage.completion_tokens > 0
    # The SDK's own accumulator has put the seal together; it goes back as it came.
    assert message.model_extra["reasoning_details"][0]["signature"]
    messages.append(message.model_dump(exclude_none=True, exclude={"parsed"}))
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in reversed(message.tool_calls)]
    whole = client.chat.completions.create(model="claude-sonnet-5-5", messages=messages, tools=tools, reasoning_effort="high")
    pieces = client.chat.completions.create(model="claude-sonnet-5-5", messages=messages, tools=tools, reasoning_effort="high", stream=True)
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
    assert text == whole.choices[0].message.content and "simulation" in text


def openai_errors(server):
    client = openai.OpenAI(base_url=f"{server.router}/v1", api_key="none", max_retries=0)

    def raises(kind, model="auto", **more):
        try:
            said = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "x"}], **more)
            for _ in said if more.get("stream") else ():
                pass
        except kind as error:
            return error
        raise AssertionError(f"no {kind}")

    assert raises(openai.NotFoundError, "gpt-4o").code == "model_not_found"
    assert raises(openai.BadRequestError, n=2).param == "n"
    fault(server, error="ThrottlingException")
    assert raises(openai.RateLimitError, "claude-opus").response.headers["retry-after"]
    no_faults(server)
    fault(server, breaks="cut", after=3)
    # An error within the stream is an error, and no short answer.
    assert "broke off" in raises(openai.APIError, "qwen3-32b", stream=True).message
    no_faults(server)


def openai_others(server):
    client = openai.OpenAI(base_url=f"{server.router}/v1", api_key="none")
    ids = [model.id for model in client.models.list()]
    assert ids[0] == "auto" and "claude-haiku-5-5" in ids
    assert client.models.retrieve("claude-haiku-5-5").id == "claude-haiku-5-5"
    vectors = openai.OpenAI(base_url=f"{server.embeddings}/v1", api_key="none").embeddings.create(
        model="titan-embed-text-v2", input=["first", "second"])
    assert len(vectors.data) == 2 and len(vectors.data[0].embedding) == 1024


def langchain(server):
    model = ChatOpenAI(model="auto", base_url=f"{server.router}/v1", api_key="none")
    assert "simulation" in model.invoke("Why is the sky blue?").content
    assert "simulation" in "".join(piece.content for piece in model.stream("Why is the sky blue?"))
    called = model.bind_tools([tool("weather"), tool("time")]).invoke("Use weather and time.")
    assert [call["name"] for call in called.tool_calls] == ["weather", "time"]
    for method in ("json_schema", "function_calling"):
        assert isinstance(model.with_structured_output(Author, method=method).invoke("Who wrote Faust?"), Author)


def pydantic_ai(server):
    model = OpenAIChatModel("auto", provider=OpenAIProvider(base_url=f"{server.router}/v1", api_key="none"))
    agent = Agent(model)
    asked = []

    @agent.tool_plain
    def weather(city: str) -> str:
        asked.append(city)
        return "clear"

    assert "simulation" in agent.run_sync("Use weather.").output and asked
    assert isinstance(Agent(model, output_type=Author).run_sync("Who wrote Faust?").output, Author)

    async def streamed():
        async with agent.run_stream("Why is the sky blue?") as stream:
            return "".join([piece async for piece in stream.stream_text(delta=True)])

    assert "simulation" in asyncio.run(streamed())


def boto(server):
    config = botocore.config.Config(retries={"max_attempts": 1}, read_timeout=30)
    client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=server.router, config=config)
    user = {"role": "user", "content": [{"text": "Use weather."}]}
    spec = {"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}}}}
    said = client.converse(modelId="auto", messages=[user], toolConfig={"tools": [spec]})
    call = said["output"]["message"]["content"][-1]["toolUse"]
    assert said["stopReason"] == "tool_use" and said["trace"]["promptRouter"]["invokedModelId"]
    assert float(said["ResponseMetadata"]["HTTPHeaders"]["x-bedrock-router-cost-usd"]) > 0
    result = {"role": "user", "content": [{"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"sky": "clear"}}]}}]}
    stream = client.converse_stream(
        modelId="auto:lower-cost", messages=[user, said["output"]["message"], result], toolConfig={"tools": [spec]})
    events = list(stream["stream"])
    names = [next(iter(event)) for event in events]
    assert names[0] == "messageStart" and names[-2:] == ["messageStop", "metadata"] and names[-3] == "contentBlockStop", names
    assert events[-1]["metadata"]["usage"]["totalTokens"] > 0
    for model, code in (("gpt-4o", "ValidationException"), ("claude-opus", "ThrottlingException")):
        if code == "ThrottlingException":
            fault(server, error=code)
        try:
            client.converse(modelId=model, messages=[user])
            raise AssertionError(model)
        except ClientError as error:
            assert error.response["Error"]["Code"] == code, error
    no_faults(server)
    fault(server, breaks="cut", after=3)
    try:
        list(client.converse_stream(modelId="qwen3-32b", messages=[user])["stream"])
        raise AssertionError("a broken stream passed for a whole one")
    except EventStreamError as error:
        assert "broke off" in str(error)
    no_faults(server)


def node(server):
    addresses = {"ROUTER": server.router, "PIXEL": PIXEL}
    subprocess.run(["node", HERE / "clients.mjs"], check=True, env={**os.environ, **addresses, "NODE_TOOLS": str(NODE)}, timeout=120)


class Server:
    def __init__(self, router, embeddings, aws):
        self.router, self.embeddings, self.aws = router, embeddings, aws


@contextmanager
def local():
    with stack("us-east-1") as (port, aws_port):
        yield Server(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}", f"http://127.0.0.1:{aws_port}")


@contextmanager
def bootstraps():
    """cargo-lambda starts each bootstrap, and makes events of a function URL from requests."""
    with stack("us-east-1") as (_, aws_port):
        port, aws = free_port(), f"http://127.0.0.1:{aws_port}"
        variables = {
            "BEDROCK_ENDPOINT": aws, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
            "METRICS_NAMESPACE": "off", "RESPONSE_MODE": "stream",
        }
        watch = subprocess.Popen(
            [CARGO_LAMBDA, "lambda", "watch", "--ignore-changes", "--invoke-port", str(port)], env={**os.environ, **variables},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(port)
            base = f"http://127.0.0.1:{port}/lambda-url"
            yield Server(f"{base}/router", f"{base}/embeddings", aws)
        finally:
            watch.terminate()
            watch.wait()


def main():
    # What the machine knows of AWS and of proxies is none of the clients' business.
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_CONFIG_FILE=tempfile.mktemp(), AWS_SHARED_CREDENTIALS_FILE=tempfile.mktemp())
    for kind in (local, bootstraps):
        with kind() as server:
            for check in (openai_chat, openai_streams, openai_errors, openai_others, langchain, pydantic_ai, boto, node):
                check(server)
                print(f"{kind.__name__}: {check.__name__}: ok", flush=True)


main()

"""OpenAI's SDK asks us for vectors, and boto3 asks the stand-in as the guide does."""

import json

import boto3
import openai
from stack import call, stack

TEXTS = ["How to set up monitoring alerts", "Configure Kubernetes probes", "Best Italian restaurants nearby"]


def openai_sdk(port):
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")
    status, native = call(port, "/embeddings", {"texts": TEXTS, "model": "titan-embed-text-v2", "dimensions": 512})
    assert status == 200, native
    wanted = native["embeddings"]
    for options in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
        answer = client.embeddings.create(model="titan-embed-text-v2", input=TEXTS, dimensions=512, **options)
        assert [item.index for item in answer.data] == [0, 1, 2], answer
        for item, vector in zip(answer.data, wanted):
            got = item.embedding
            if isinstance(got, str):
                import base64
                import struct

                got = list(struct.unpack("<512f", base64.b64decode(got)))
            assert len(got) == 512
            assert max(abs(a - b) for a, b in zip(got, vector)) < 1e-7, options
        assert answer.usage.prompt_tokens == native["usage"]["inputTokens"]
    one = client.embeddings.create(model="auto", input=TEXTS[0], dimensions=512)
    assert max(abs(a - b) for a, b in zip(one.data[0].embedding, wanted[0])) < 1e-7
    try:
        client.embeddings.create(model="titan-embed-text-v2", input=[1, 2, 3])
        raise SystemExit("token arrays were taken")
    except openai.BadRequestError as error:
        assert "token arrays" in str(error), error
    print("OpenAI's SDK gets the vectors of the native route: as a list, in base64, and by default")


def guide(aws_port):
    client = boto3.client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{aws_port}",
        aws_access_key_id="a", aws_secret_access_key="b")

    def invoke(model, body):
        response = client.invoke_model(modelId=model, contentType="application/json", body=json.dumps(body))
        return json.loads(response["body"].read())

    titan = invoke("amazon.titan-embed-text-v2:0", {"inputText": "How to monitor Kubernetes clusters", "dimensions": 512, "normalize": True})
    assert len(titan["embedding"]) == 512
    image = invoke("amazon.titan-embed-image-v1", {"inputText": "A photo of a sunset over the ocean"})
    assert len(image["embedding"]) == 1024
    cohere = invoke("cohere.embed-english-v3", {"texts": TEXTS, "input_type": "search_document", "truncate": "END"})
    assert [len(vector) for vector in cohere["embeddings"]] == [1024] * 3
    print("boto3 gets the guide's three embeddings from the stand-in")


with stack("us-east-1") as (port, aws_port):
    openai_sdk(port)
    guide(aws_port)

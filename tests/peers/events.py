"""Which function each file of events/ is for, and what its answer must be."""

from pathlib import Path

EVENTS = sorted((Path(__file__).parent.parent.parent / "events").glob("*.json"))


def binary(event):
    for prefix, name in (("report", "usage-report"), ("authorizer", "authorizer"), ("embeddings", "embeddings"), ("openai-embeddings", "embeddings")):
        if event.startswith(prefix):
            return name
    return "router"


def function(event):
    """The name in template.yaml."""
    return "".join(part.capitalize() for part in binary(event).split("-")) + "Function"


def check(event, answer):
    if event.startswith("report"):
        assert answer["window"]["name"] and answer["missing"] == [], answer
        return f"{answer['window']['start']} to {answer['window']['end']}, {len(answer['models'])} models"
    if event.startswith("authorizer"):
        assert len(answer["usageIdentifierKey"]) >= 20, answer
        return "a key is handed on"
    wanted = {"unknown-path-http": 404, "unknown-path-rest": 404, "empty-body-rest": 400}.get(event, 200)
    assert answer["statusCode"] == wanted, answer
    return f"status {answer['statusCode']}"

"""Checks shared/models.json against LiteLLM's table, price by price.

    python catalog/compare.py

Nothing of generate.py is used here, so that one checks the other. Wherever both know a price, they must be equal, unless
corrections.json has a line for it; a line that corrects nothing, or has no source, fails as well.
"""

import importlib.metadata
import importlib.util
import json
import re
from decimal import Decimal
from pathlib import Path

HERE = Path(__file__).parent
MILLION = Decimal(1_000_000)

PER_TOKEN = {
    ("standard", "input"): "input_cost_per_token",
    ("standard", "output"): "output_cost_per_token",
    ("standard", "cacheRead"): "cache_read_input_token_cost",
    ("standard", "cacheWrite5m"): "cache_creation_input_token_cost",
    ("standard", "cacheWrite1h"): "cache_creation_input_token_cost_above_1hr",
    ("flex", "input"): "input_cost_per_token_flex",
    ("flex", "output"): "output_cost_per_token_flex",
    ("flex", "cacheRead"): "cache_read_input_token_cost_flex",
    ("flex", "cacheWrite5m"): "cache_creation_input_token_cost_flex",
    ("priority", "input"): "input_cost_per_token_priority",
    ("priority", "output"): "output_cost_per_token_priority",
    ("priority", "cacheRead"): "cache_read_input_token_cost_priority",
    ("priority", "cacheWrite5m"): "cache_creation_input_token_cost_priority",
    ("batch", "input"): "input_cost_per_token_batches",
    ("batch", "output"): "output_cost_per_token_batches",
    ("batch", "cacheRead"): "cache_read_input_token_cost_batches",
    ("batch", "cacheWrite5m"): "cache_creation_input_token_cost_batches",
}
LONG_CONTEXT = {
    "input": "input_cost_per_token_above_{}k_tokens",
    "output": "output_cost_per_token_above_{}k_tokens",
    "cacheRead": "cache_read_input_token_cost_above_{}k_tokens",
    "cacheWrite5m": "cache_creation_input_token_cost_above_{}k_tokens",
    "cacheWrite1h": "cache_creation_input_token_cost_above_1hr_above_{}k_tokens",
}
THRESHOLD = re.compile(r"_above_(\d+)k_tokens$")
PER_UNIT = {
    "perImage": "output_cost_per_image",
    "perInputImage": "input_cost_per_image",
    "perQuery": "input_cost_per_query",
    "perVideoSecond": "input_cost_per_video_per_second",
    "perAudioSecond": "input_cost_per_audio_per_second",
}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)


def litellm():
    spec = importlib.util.find_spec("litellm")
    rows = read(Path(spec.origin).parent / "model_prices_and_context_window_backup.json")
    return {key: row for key, row in rows.items() if str(row.get("litellm_provider", "")).startswith("bedrock")}


def row_of(rows, id, entry):
    if "region" in entry:
        return rows.get(f"bedrock/{entry['region']}/{id}")
    return rows.get(id if entry["scope"] == "in-region" else f"{entry['scope']}.{id}")


def pairs(entry, row):
    """Every price of one scope: its name, ours and theirs, where either is missing None."""
    per_token = {} if row.get("mode") == "rerank" else PER_TOKEN
    for (tier, component), key in per_token.items():
        yield f"{tier}.{component}", entry.get(tier, {}).get(component), scaled(row.get(key))
    long = entry.get("longContext")
    for component, key in LONG_CONTEXT.items():
        for thousands in sorted({int(found[1]) for found in map(THRESHOLD.search, row) if found}):
            here = long and long["aboveTokens"] == thousands * 1000
            ours = long["prices"].get(component) if here else None
            yield f"longContext.{thousands}k.{component}", ours, scaled(row.get(key.format(thousands)))
    for name, key in PER_UNIT.items():
        yield name, entry.get(name), row.get(key)


def scaled(price):
    return None if price is None else Decimal(price) * MILLION


def equal(ours, theirs):
    return ours == theirs or (ours is not None and theirs is not None and Decimal(ours) == Decimal(theirs))


def differs(entry, row):
    return any(not equal(ours, theirs) for _, ours, theirs in pairs(entry, row))


def main():
    rows, models = litellm(), read(HERE.parent / "shared" / "models.json")["models"]
    lines = read(HERE / "corrections.json")["corrections"]
    corrections = {(line["model"], line["scope"]): line for line in lines}
    unsourced = [line for line in lines if not line.get("source")]
    used, compared, wrong = set(), 0, []
    for model in models:
        priced = {entry["scope"] for entry in model["prices"]}
        for scope in {profile["scope"] for profile in model["profiles"]} - priced:
            if f"{scope}.{model['id']}" in rows:
                wrong.append(f"{model['id']} {scope}: LiteLLM has prices, we have none")
        for entry in model["prices"]:
            row = row_of(rows, model["id"], entry)
            if row is None:
                continue
            line = corrections.get((model["id"], entry["scope"]))
            if line:
                used |= {(model["id"], entry["scope"])} if differs(entry, row) else set()
                row = rows.get(f"{line['pricedAs']}.{model['id']}", {})
            for name, ours, theirs in pairs(entry, row):
                compared += ours is not None and theirs is not None
                if not equal(ours, theirs):
                    wrong.append(f"{model['id']} {entry['scope']} {name}: we say {ours}, LiteLLM {theirs}")
    idle = [line for key, line in corrections.items() if key not in used]
    for problem in [*wrong, *(f"no source: {line}" for line in unsourced), *(f"corrects nothing: {line}" for line in idle)]:
        print(problem)
    version = importlib.metadata.version("litellm")
    print(f"{compared} prices compared with LiteLLM {version}, {len(used)} scopes corrected, {len(wrong)} disagree")
    if wrong or unsourced or idle:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""Makes shared/models.json from two well-kept public tables and one file of facts kept by hand.

    python catalog/generate.py            writes shared/models.json and prints what changed
    python catalog/generate.py --check    writes nothing; fails when the file would change

Availability (Regions, profiles, modalities, status) is from `bedrock-models`, a scrape of ListFoundationModels and
ListInferenceProfiles. Prices, limits and capability flags are from LiteLLM's table. facts.json adds what neither has and
corrects what is wrong, each with its source. The numbers stay decimal text on their way: no float touches a price.
"""

import importlib.metadata
import importlib.util
import json
import re
import sys
from decimal import Decimal
from pathlib import Path

HERE = Path(__file__).parent
MODELS = HERE.parent / "shared" / "models.json"
ROUTES = HERE.parent / "shared" / "routes.json"

TOKEN_PRICES = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cacheRead": "cache_read_input_token_cost",
    "cacheWrite5m": "cache_creation_input_token_cost",
    "cacheWrite1h": "cache_creation_input_token_cost_above_1hr",
}
TIERS = {"flex": "_flex", "priority": "_priority", "batch": "_batches"}
LONG_CONTEXT = re.compile(r"_above_(\d+)k_tokens$")
# Prices that we have no use for: tiers and units that no endpoint of ours reports.
IGNORED_COSTS = re.compile(
    r"_ultrafast$|_batches$|^search_context_cost|^output_cost_per_reasoning|_per_audio_token$|_per_image_token$|^guardrail_cost"
    r"|_per_second$|^input_cost_per_character|^output_cost_per_pixel|_flex$|_priority$"
)
UNIT_PRICES = {
    "perImage": "output_cost_per_image",
    "perInputImage": "input_cost_per_image",
    "perQuery": "input_cost_per_query",
    "perVideoSecond": "input_cost_per_video_per_second",
    "perAudioSecond": "input_cost_per_audio_per_second",
}
FLAGS = {
    "system": "supports_system_messages",
    "tools": "supports_function_calling",
    "toolChoice": "supports_tool_choice",
    "forcedToolUse": "supports_forced_tool_use",
    "reasoning": "supports_reasoning",
    "adaptiveThinking": "supports_adaptive_thinking",
    "thinkingAlwaysOn": "thinking_always_on",
    "samplingParameters": "supports_sampling_params",
    "assistantPrefill": "supports_assistant_prefill",
    "structuredOutput": "supports_native_structured_output",
    "outputConfig": "supports_output_config",
    "effortCeiling": "bedrock_output_config_effort_ceiling",
    "midConversationSystem": "supports_mid_conversation_system",
    "promptCaching": "supports_prompt_caching",
    "promptCacheMinTokens": "prompt_cache_min_tokens",
}
SCOPES = ["in-region", "global", "us", "eu", "apac", "au", "jp", "in", "ca", "us-gov"]
MODALITIES = ["text", "image", "video", "audio", "embedding"]
SPEECH = {"speech": "audio"}
FIELDS = [
    "id", "name", "provider", "family", "kind", "strengths", "useFor", "input", "output", "limits", "capabilities", "prices",
    "regions", "profiles", "lifecycle", "successor", "aliases", "embedding", "images", "rerank",
    "sources",
]


class Number(str):
    """A number as it is written into JSON."""


def number(value, scale=1):
    return Number(format((Decimal(value) * scale).normalize(), "f"))


def read(path):
    return json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)


def package_file(package, name):
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise SystemExit(f"{package} is not installed; `make catalog` does that")
    return read(Path(spec.origin).parent / name)


class Tables:
    """The sources, read once."""

    def __init__(self):
        self.facts = read(HERE / "facts.json")
        self.available = package_file("bedrock_models", "bedrock_models.json")
        rows = package_file("litellm", "model_prices_and_context_window_backup.json")
        self.prices = {k: v for k, v in rows.items() if str(v.get("litellm_provider", "")).startswith("bedrock")}
        for name, stated in self.facts["gathered"].items():
            installed = importlib.metadata.version(name)
            if installed != stated["version"]:
                raise SystemExit(f"{name} {installed} is installed, facts.json dates {stated['version']}: state version and date")

    def row(self, id):
        """The row of a model's flags and limits: its own, else that of a profile or of bedrock-mantle."""
        keys = [id, *(f"{scope}.{id}" for scope in SCOPES[1:]), f"bedrock/us-east-1/{id}", f"bedrock_mantle/{id}"]
        return next((self.prices[key] for key in keys if key in self.prices), {})

    def source(self, name):
        title = {"litellm": "LiteLLM", "bedrock-models": "bedrock-models"}[name]
        stated = self.facts["gathered"][name]
        return f"{title} {stated['version']}, {stated['date']}"


def token_prices(row, suffix=""):
    prices = {}
    for ours, theirs in TOKEN_PRICES.items():
        if row.get(theirs + suffix) is not None:
            prices[ours] = number(row[theirs + suffix], 1_000_000)
    return prices


def refuse_unknown_costs(id, row):
    """A price component that nobody has thought of must not be lost."""
    known = {key + suffix for key in TOKEN_PRICES.values() for suffix in ("", *TIERS.values())} | set(UNIT_PRICES.values())
    for key in row:
        if "cost" in key and key not in known and not LONG_CONTEXT.search(key) and not IGNORED_COSTS.search(key):
            raise SystemExit(f"{id}: LiteLLM has a price called {key}; use or ignore it in catalog/generate.py")


def scope_prices(scope, row, region=None):
    entry = {"scope": scope}
    if region:
        entry["region"] = region
    standard = token_prices(row)
    if standard and row.get("mode") != "rerank":
        entry["standard"] = standard
    for tier, suffix in TIERS.items():
        prices = token_prices(row, suffix)
        if prices:
            entry[tier] = prices
    thresholds = {int(found[1]) for found in map(LONG_CONTEXT.search, row) if found}
    if len(thresholds) > 1:
        raise SystemExit(f"{scope} prices with two long-context thresholds, {thresholds}: models.json has room for one")
    for threshold in thresholds:
        prices = token_prices(row, f"_above_{threshold}k_tokens")
        if prices:
            entry["longContext"] = {"aboveTokens": threshold * 1000, "prices": prices}
    for ours, theirs in UNIT_PRICES.items():
        if row.get(theirs) is not None:
            entry[ours] = number(row[theirs])
    return entry


def without_scope(entry):
    return {k: v for k, v in entry.items() if k not in ("scope", "region")}


def prices(tables, id, profiles, regions):
    """One entry a scope. A bare id that LiteLLM lists at the global price although a geographic profile is dearer is priced
    as the geography: AWS adds a tenth for both (facts.json, corrections)."""
    rows = {}
    if id in tables.prices:
        refuse_unknown_costs(id, tables.prices[id])
        rows["in-region"] = scope_prices("in-region", tables.prices[id])
    scopes = [*SCOPES, *sorted(profiles - set(SCOPES))]
    for scope in scopes[1:]:
        row = tables.prices.get(f"{scope}.{id}")
        if row:
            refuse_unknown_costs(id, row)
            rows[scope] = scope_prices(scope, row)
    if "global" in rows and "us" in rows and rows["us"].get("standard") != rows["global"].get("standard"):
        rows["in-region"] = {**rows["us"], "scope": "in-region"}
    elsewhere = []
    for region in regions:
        row = tables.prices.get(f"bedrock/{region}/{id}")
        if row:
            entry = scope_prices("in-region", row, region)
            if without_scope(entry) != without_scope(rows.get("in-region", {})):
                elsewhere.append(entry)
    return [rows[scope] for scope in scopes if scope in rows] + elsewhere


def profiles(entry):
    made = []
    for prefix, sources in entry.get("inferenceProfile", {}).items():
        if isinstance(sources, list):
            made.append({"scope": prefix.lower(), "from": sorted(sources)})
        else:
            to = sorted({region for regions in sources.values() for region in regions})
            made.append({"scope": prefix.lower(), "from": sorted(sources), "to": to})
    # The narrowest first; global last.
    return sorted(made, key=lambda p: (p["scope"] == "global", len(p.get("to", [])), p["scope"]))


def regions(entry):
    """Where the bare id works through bedrock-runtime. For a model that needs a profile in us-east-1, being listed on demand
    where bedrock-mantle serves it means mantle only (AWS model cards)."""
    listed = [region for region, types in entry.get("inference_types", {}).items() if "ON_DEMAND" in types]
    us_east_1 = entry.get("inference_types", {}).get("us-east-1", [])
    mantle = set(entry.get("mantle_supported_regions", []))
    profile_only = any(t not in ("ON_DEMAND", "PROVISIONED") for t in us_east_1)
    newer = profile_only and ("ON_DEMAND" not in us_east_1 or "us-east-1" in mantle)
    return sorted(region for region in listed if not (newer and region in mantle))


def capabilities(tables, id, entry, kind, facts):
    row = tables.row(id)
    flags = {}
    if kind == "text":
        if row.get("litellm_provider") == "bedrock_converse":
            flags["converse"] = True
        for ours, theirs in FLAGS.items():
            if row.get(theirs) is not None:
                flags[ours] = row[theirs]
    if entry and "responseStreamingSupported" in entry:
        flags["streaming"] = entry["responseStreamingSupported"]
    flags.update(family(tables, id).get("capabilities", {}))
    flags.update(facts.get("capabilities", {}))
    return {k: flags[k] for k in facts_order(flags)}


CAPABILITIES = [
    "converse", "streaming", "system", "tools", "streamingTools", "toolChoice", "forcedToolUse", "documents", "reasoning",
    "thinksByDefault", "adaptiveThinking", "thinkingAlwaysOn", "samplingParameters", "temperatureWithTopP", "assistantPrefill",
    "structuredOutput", "outputConfig", "effortCeiling", "midConversationSystem", "promptCaching", "promptCacheMinTokens",
    "cachePoints", "toolCachePoints", "citations", "richToolResults", "latencyOptimized", "guardrails", "quotaOutputBurndown",
]


def facts_order(flags):
    unknown = set(flags) - set(CAPABILITIES)
    if unknown:
        raise SystemExit(f"facts.json: no capability is called {', '.join(sorted(unknown))}")
    return [name for name in CAPABILITIES if flags.get(name) is not None]


def limits(tables, id, kind, facts):
    row = tables.row(id)
    found = {}
    if kind in ("text", "embedding") and row.get("max_input_tokens"):
        found["contextTokens"] = row["max_input_tokens"]
    if kind == "text" and row.get("max_output_tokens"):
        found["outputTokens"] = row["max_output_tokens"]
    return {**found, **facts.get("limits", {})}


def modalities(names):
    found = {SPEECH.get(name.lower(), name.lower()) for name in names}
    return [name for name in MODALITIES if name in found]


def lifecycle(tables, id, entry, facts):
    life = dict(facts.get("lifecycle", {}))
    ends = tables.row(id).get("deprecation_date")
    if ends and "endOfLife" not in life:
        life["endOfLife"] = ends
    if "status" not in life:
        listed = (entry or {}).get("model_lifecycle_status")
        life["status"] = {"ACTIVE": "active", "LEGACY": "legacy"}.get(listed, "endOfLife")
    if entry and not entry.get("runtime_supported"):
        life["elsewhere"] = "bedrock-mantle"
    order = ["status", "launch", "legacy", "extendedAccess", "endOfLife", "endOfLifeNotBefore", "elsewhere"]
    return {name: life[name] for name in order if name in life}


def family(tables, id):
    matching = [prefix for prefix in tables.facts["families"] if id.startswith(prefix)]
    if not matching:
        raise SystemExit(f"{id}: add its family to catalog/facts.json")
    return tables.facts["families"][max(matching, key=len)]


def model(tables, id):
    entry = tables.available.get(id)
    facts = tables.facts["models"].get(id, {})
    kin = family(tables, id)
    kind = kin["kind"]
    lives = bool(entry and entry.get("runtime_supported"))
    made_profiles = profiles(entry) if lives else []
    made_regions = regions(entry) if lives else []
    made = {
        "id": id,
        "provider": tables.facts["providers"][id.split(".")[0]],
        "family": kin["family"],
        "kind": kind,
        "strengths": kin["strengths"],
        "useFor": kin["useFor"],
        "input": modalities(entry["inputModalities"]) if entry else facts.get("input", ["text"]),
        "output": modalities(entry["outputModalities"]) if entry else facts.get("output", ["text"]),
        "limits": limits(tables, id, kind, facts),
        "capabilities": capabilities(tables, id, entry, kind, facts),
        "prices": facts.get("prices") or prices(tables, id, {p["scope"] for p in made_profiles}, made_regions),
        "regions": made_regions,
        "profiles": made_profiles,
        "lifecycle": lifecycle(tables, id, entry, facts),
        "sources": sources(tables, id, entry, kind, facts),
    }
    for name in ("name", "successor", "aliases", "embedding", "images", "rerank"):
        if name in facts:
            made[name] = facts[name]
    if kind == "rerank":
        made["output"] = ["text"]
    return made


def sources(tables, id, entry, kind, facts):
    listed = tables.source("bedrock-models")
    made = {"availability": listed if entry else f"in no list of {listed}"}
    if facts.get("prices") or tables.row(id):
        made["prices"] = tables.source("litellm")
    if kind == "text":
        made["capabilities"] = f"{tables.source('litellm')}, and catalog/facts.json"
    ends = tables.row(id).get("deprecation_date")
    made["lifecycle"] = f"{tables.source('litellm')} (AWS lifecycle page)" if ends else made["availability"]
    made.update(facts.get("sources", {}))
    return made


def names(models):
    """A short name for each new model: its id without provider, date and version, as far as that is its own; the living choose
    first. Who has a name keeps it."""
    taken = {m["name"] for m in models if m["name"]}
    for lives in (True, False):
        for form in (short, without_version, without_provider, lambda id: id):
            nameless = [m for m in models if not m["name"] and bool(m["regions"] or m["profiles"]) == lives]
            forms = [form(m["id"]) for m in nameless]
            for m, name in zip(nameless, forms):
                if forms.count(name) == 1 and name not in taken:
                    m["name"] = name
                    taken.add(name)


def without_provider(id):
    return id.split(".", 1)[1]


def without_version(id):
    return re.sub(r":\d+$", "", without_provider(id))


def short(id):
    return re.sub(r"-\d:\d$", "", re.sub(r"(-\d{8})?-v\d+(:\d+)?$", "", without_provider(id)))


def gone(old):
    """A model that no list has any more, with what was known of it."""
    return {**old, "regions": [], "profiles": [], "lifecycle": {**old["lifecycle"], "status": "endOfLife"}}


def generate(tables, old):
    known = {m["id"]: m for m in old["models"]}
    kinds = {"text", "embedding", "image", "imageEdit", "rerank"}
    ids = sorted((set(tables.available) | set(tables.facts["models"]) | set(known)) - set(tables.facts["ignored"]))
    made = []
    for count, id in enumerate(ids, 1):
        progress(f"{count}/{len(ids)} {id}")
        if family(tables, id)["kind"] not in kinds:
            continue
        vanished = id not in tables.available and id not in tables.facts["models"]
        made.append(gone(known[id]) if vanished else model(tables, id))
        made[-1].setdefault("name", known.get(id, {}).get("name"))
    progress("")
    names(made)
    ordered = [{field: m[field] for field in FIELDS if field in m} for m in made]
    check(ordered)
    remark(tables, ordered)
    about = tables.facts["about"]
    gathered = {name: stated["date"] for name, stated in sorted(tables.facts["gathered"].items())}
    return {"about": about, "gathered": gathered, "models": ordered}


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def check(models):
    """What must hold before anything is written."""
    ids = {m["id"] for m in models}
    routed = {id for route in read(ROUTES)["routes"] for id in route["candidates"]}
    lost = routed - {m["id"] for m in models if m["lifecycle"]["status"] != "endOfLife" and (m["regions"] or m["profiles"])}
    if lost:
        raise SystemExit(f"routes.json uses models that would be gone: {', '.join(sorted(lost))}")
    bare = [m["id"] for m in models if m["id"] in routed and (not m["prices"] or not m["limits"])]
    bare += [m["id"] for m in models if m["id"] in routed and m["kind"] == "text" and not m["capabilities"].get("converse")]
    if bare:
        raise SystemExit(f"routes.json uses models without prices, limits or Converse: {', '.join(sorted(set(bare)))}")
    free = [m["id"] for m in models for entry in m["prices"] if entry.get("standard", {}).get("input") == "0"]
    if free:
        raise SystemExit(f"input that costs nothing is a mistake of the table: {', '.join(sorted(set(free)))}")
    wrong = [m["id"] for m in models if m.get("successor", m["id"]) not in ids]
    if wrong:
        raise SystemExit(f"successors that are no models: {', '.join(wrong)}")


def remark(tables, models):
    """What a person should look at: prices without a model, and ids that can be called but have no price."""
    ids = {m["id"] for m in models}
    scopes = {scope for m in models for scope in (p["scope"] for p in m["profiles"])} | {"us-gov", "apac"}
    for key, row in tables.prices.items():
        prefix, _, rest = key.partition(".")
        id = rest if prefix in scopes else key
        is_model = "/" not in id and "." in id and row.get("mode") in ("chat", "embedding", "rerank", "image_generation")
        if is_model and id not in ids and id not in tables.facts["ignored"] and prefix not in scopes:
            print(f"? {id}: LiteLLM prices it, but no list says where it can be called")
    for m in models:
        priced = {entry["scope"] for entry in m["prices"]}
        callable_as = {p["scope"] for p in m["profiles"]} | ({"in-region"} if m["regions"] else set())
        for scope in sorted(callable_as - priced):
            print(f"? {m['id']} can be called in the scope {scope}, but no table prices it")


def dump(value, depth=0, width=150):
    """JSON that a person can read and a diff can show: short objects on one line."""
    flat = flatten(value)
    simple = not isinstance(value, (dict, list)) or not value
    if simple or (depth >= 2 and len(flat) + 2 * depth <= width):
        return flat
    pad, end = "  " * (depth + 1), "  " * depth
    if isinstance(value, dict):
        lines = [f"{pad}{json.dumps(k)}: {dump(v, depth + 1, width)}" for k, v in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{end}}}"
    if all(isinstance(item, str) for item in value):
        return "[\n" + wrap([flatten(item) for item in value], pad, width) + f"\n{end}]"
    return "[\n" + ",\n".join(pad + dump(item, depth + 1, width) for item in value) + f"\n{end}]"


def wrap(items, pad, width):
    lines, line = [], ""
    for item in items:
        if line and len(pad) + len(line) + len(item) + 3 > width:
            lines.append(line)
            line = ""
        line = f"{line}, {item}" if line else item
    return ",\n".join(pad + text for text in [*lines, line])


def flatten(value):
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {flatten(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flatten, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def changes(old, new):
    """What a person wants to know of a new catalog: models that came and went, and facts that changed."""
    before = {m["id"]: m for m in old["models"]}
    after = {m["id"]: m for m in new["models"]}
    lines = [f"+ {id}" for id in after if id not in before] + [f"- {id}" for id in before if id not in after]
    restated = 0
    for id in after:
        if id in before:
            found = list(differences(before[id], after[id], ""))
            restated += any(line.startswith("sources.") for line in found)
            lines += [f"  {id} {line}" for line in found if not line.startswith("sources.")]
    return lines + ([f"  {restated} models: sources"] if restated else [])


def differences(old, new, path):
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif keyed(old) and keyed(new):
        yield from differences(keyed(old), keyed(new), path)
    elif plain(old) != plain(new):
        yield f"{path}: {plain(old)} -> {plain(new)}"


def keyed(value):
    """A list of scopes as a mapping, so that a diff names the scope and not a position."""
    if isinstance(value, list) and value and all(isinstance(item, dict) and "scope" in item for item in value):
        return {"/".join(filter(None, (item["scope"], item.get("region")))): item for item in value}
    return None


def plain(value):
    if value is None:
        return "unknown"
    return flatten(value)


def main():
    tables = Tables()
    text = MODELS.read_text(encoding="utf-8") if MODELS.exists() else '{"models": []}'
    old = json.loads(text, parse_float=Decimal)
    new = dump(generate(tables, old)) + "\n"
    lines = changes(old, json.loads(new, parse_float=Decimal))
    if new == text:
        print(f"{MODELS.name} is up to date: {new.count(chr(10) + '      ' + chr(34) + 'id' + chr(34))} models")
        return
    print("\n".join(lines) or "only the layout of the file changes")
    if "--check" in sys.argv:
        raise SystemExit(f"{MODELS.name} is not what `make catalog` makes")
    MODELS.write_text(new, encoding="utf-8")
    print(f"{MODELS.name} written: {len(lines)} changes")


if __name__ == "__main__":
    main()

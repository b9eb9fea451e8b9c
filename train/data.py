"""Labelled prompts: JSON lines `{id, prompt, models: {name: quality 0..1}, output_tokens, input_tokens, group, split}`, one file a set.

`sets.json` says of each set which of its models are small, medium and large, and which pair is judged.
"""

import gzip
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SETS = json.loads((HERE / "sets.json").read_text())


def load(folder):
    """All prompts of the sets that are known, with their features."""
    rows = []
    for name in SETS["sets"]:
        for path in (Path(folder) / f"{name}.jsonl", Path(folder) / f"{name}.jsonl.gz"):
            if path.exists():
                opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
                with opened as lines:
                    rows += [json.loads(line) | {"set": name} for line in lines]
                break
    return rows, features([row["prompt"] for row in rows])


def features(prompts):
    """What the router itself sees of prompts: it is asked, so that there is one reading of them and not two."""
    with tempfile.TemporaryDirectory() as folder:
        lines, out = os.path.join(folder, "prompts"), os.path.join(folder, "features")
        with open(lines, "w") as file:
            file.writelines(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
        subprocess.run(["cargo", "run", "--quiet", "--", "features", lines, "--out", out], check=True, stdout=subprocess.DEVNULL)
        return np.fromfile(out, "<i4").reshape(len(prompts), -1)


def mean(row, names):
    known = [row["models"][name] for name in names if name in row["models"]]
    return float(np.mean(known)) if known else float("nan")


def quality(row, kind, own):
    """A class's quality: the judged model's own, shrunk towards the mean of its class."""
    about = SETS["sets"][row["set"]]
    of_class = mean(row, about[kind])
    judged = about["judged"].get(kind)
    if judged in row["models"]:
        return own * row["models"][judged] + (1 - own) * of_class
    return of_class


def log_tokens(row):
    known = [tokens for tokens in (row.get("output_tokens") or {}).values() if tokens and tokens > 0]
    return float(np.log(np.median(known))) if known else float("nan")

"""Trains the learned router from labelled prompts, and says what it is worth: `make train DATA=folder`.

It is trained on the prompts of the split `train` and judged on those of `dev`; what is written to shared/router.bin is trained on both.
Weights are shipped, prompts never.
"""

import argparse
import struct
from pathlib import Path

import lightgbm
import numpy as np

from data import SETS, load, log_tokens, mean, quality
from measures import guides_rule, intervals, measure

SEED = 7
# How far the label of a pair is that pair's own result; the rest is the mean of its class, which is less noisy.
OWN = 0.6
# Sets weigh less than their size, and those of the pair that the router stands for weigh double.
POWER, DOUBLE = 0.5, 2.0
# Trees, leaves, and models of each head: what decides has the most.
HEADS = {"small": (50, 12, 1), "medium": (50, 12, 1), "large": (80, 16, 3), "tokens": (50, 12, 1)}
RATE = 0.1
BUDGETS = {"lower-cost": 90, "balanced": 95, "best-quality": 98}


def labels(rows):
    small = np.array([quality(row, "small", OWN) for row in rows])
    large = np.array([quality(row, "large", OWN) for row in rows])
    medium = np.array([mean(row, SETS["sets"][row["set"]]["medium"]) for row in rows])
    plain = np.array([mean(row, SETS["sets"][row["set"]]["small"]) for row in rows])
    return {"small": small, "medium": medium - plain, "large": large - small, "tokens": np.array([log_tokens(row) for row in rows])}


def weights(rows):
    names = np.array([row["set"] for row in rows])
    weight = np.ones(len(rows))
    for name in set(names):
        here = names == name
        weight[here] = float(here.sum()) ** -POWER * (DOUBLE if name in SETS["mix"]["sets"] else 1)
    return weight / weight.mean()


class Trees:
    """Several boosted models, whose mean counts: chance in one is evened out by the others."""

    def __init__(self, models):
        self.models = models

    def predict(self, seen):
        return np.mean([model.predict(seen) for model in self.models], axis=0)


def train(seen, label, weight, size=HEADS["large"]):
    known = ~np.isnan(label)
    models = [
        lightgbm.LGBMRegressor(
            n_estimators=size[0], num_leaves=size[1], learning_rate=RATE, min_child_samples=40, subsample=0.8, subsample_freq=1,
            colsample_bytree=0.3, reg_lambda=10, verbose=-1, n_jobs=2, random_state=SEED + one, deterministic=True, force_row_wise=True)
        for one in range(size[2])
    ]
    return Trees([model.fit(seen[known], label[known], sample_weight=weight[known]) for model in models])


def dollars(row, kind):
    mix, about = SETS["mix"], SETS["sets"][row["set"]]
    price = mix[kind]
    known = (row.get("output_tokens") or {}).get(about["judged"][kind]) or mix["outputTokensWhereUnknown"]
    return ((row["input_tokens"] + mix["around"][row["set"]]) * price[0] + known * price[1]) / 1e6


def tasks(rows, chosen):
    """Each set's judged pair, and the mix of those that are judged together, as columns of measure()."""
    pairs = {}
    for name, about in SETS["sets"].items():
        small, large = about["judged"]["small"], about["judged"]["large"]
        pairs[name] = [at for at in chosen if rows[at]["set"] == name and small in rows[at]["models"] and large in rows[at]["models"]]
    own = {at: (rows[at]["models"][SETS["sets"][rows[at]["set"]]["judged"]["small"]], rows[at]["models"][SETS["sets"][rows[at]["set"]]["judged"]["large"]])
           for at in (at for pair in pairs.values() for at in pair)}
    mix = [at for name in SETS["mix"]["sets"] for at in pairs[name]]
    yield "mix", mix, [own[at][0] for at in mix], [own[at][1] for at in mix], [dollars(rows[at], "small") for at in mix], [dollars(rows[at], "large") for at in mix]
    for name, pair in pairs.items():
        yield name, pair, [own[at][0] for at in pair], [own[at][1] for at in pair], None, None


def report(rows, chosen, scores, rounds):
    rng = np.random.default_rng(SEED)
    print(f"{'set':16s} {'n':>5s} {'small':>6s} {'large':>6s}  {'router':<28s} {'guide':>6s} {'random':>6s} {'oracle':>6s}")
    for name, at, weak, strong, weak_cost, strong_cost in tasks(rows, chosen):
        if len(at) < 20:
            continue
        columns = (weak, strong, weak_cost, strong_cost)
        told = measure(scores[at], *columns)
        around = intervals(scores[at], *columns, rounds=rounds)
        rule = measure([guides_rule(rows[i]["prompt"]) for i in at], *columns)
        chance = measure(rng.random(len(at)), *columns)
        best = measure(np.subtract(strong, weak), *columns)
        for what in told:
            if what in ("cpt50", "cpt80") and name != "mix":
                continue
            low, high = around[what]
            print(f"{name:16s} {len(at):5d} {np.mean(weak):6.3f} {np.mean(strong):6.3f}  {what} {told[what]:.3f} [{low:.3f}, {high:.3f}]   "
                  f"{rule[what]:6.3f} {chance[what]:6.3f} {best[what]:6.3f}", flush=True)


def pressures(rows, chosen, gains):
    """How much quality a budget gives up for the whole price of a large model, so that the mix keeps 90, 95 or 98 % of its quality."""
    _, at, weak, strong, *_ = next(tasks(rows, chosen))
    order = np.argsort(-gains[at], kind="stable")
    path = (np.sum(weak) + np.cumsum(np.subtract(strong, weak)[order])) / len(at)
    share = 1 - SETS["mix"]["small"][1] / SETS["mix"]["large"][1]
    found = {}
    for budget, percent in BUDGETS.items():
        there = np.flatnonzero(path >= percent / 100 * np.mean(strong))
        found[budget] = float(gains[at][order][there[0]]) / share
    return found


def pack(models, pressure):
    """The file that the router reads: see shared/src/routing/learned/model.rs."""
    millionths = lambda value: int(round(value * 1e6))
    out = b"".join(struct.pack("<i", millionths(pressure[budget])) for budget in BUDGETS)
    for head in HEADS:
        parts = models[head].models
        trees = [tree for part in parts for tree in part.booster_.dump_model()["tree_info"]]
        packed = b""
        for tree in trees:
            nodes, leaves = [], []

            def place(node):
                if "leaf_index" in node or "split_feature" not in node:
                    leaves.append(millionths(node["leaf_value"] / len(parts)))
                    return 128 + len(leaves) - 1
                at = len(nodes)
                nodes.append(None)
                left, right = place(node["left_child"]), place(node["right_child"])
                nodes[at] = (node["split_feature"], left, right, int(np.floor(node["threshold"])), millionths(node["internal_value"] / len(parts)))
                return at

            place(tree["tree_structure"])
            packed += struct.pack("<B", len(nodes)) + b"".join(struct.pack("<BBBii", *node) for node in nodes) + struct.pack(f"<{len(leaves)}i", *leaves)
        out += struct.pack("<iH", 0, len(trees)) + packed
    return out


def held_out(rows, seen, label, weight, rounds):
    """Each set by a router that was trained without it, and without prompts of the same group elsewhere."""
    print("\nleft out of training: APGR of the pair")
    every = np.arange(len(rows))
    groups = np.array([row["group"] for row in rows])
    for name in SETS["sets"]:
        inside = np.array([row["set"] == name for row in rows])
        apart = ~inside & ~np.isin(groups, groups[inside])
        scores = train(seen[apart], label["large"][apart], weight[apart]).predict(seen)
        for task, at, weak, strong, *_ in tasks(rows, every[inside]):
            if task == name and len(at) >= 20:
                low, high = intervals(scores[at], weak, strong, rounds=rounds)["apgr"]
                print(f"{name:16s} {len(at):5d}  {measure(scores[at], weak, strong)['apgr']:.3f} [{low:.3f}, {high:.3f}]", flush=True)


def corrections(rows, seen, label, weight):
    """What labels of a kind of work that was never seen are worth: the ridge of `calibrate`, simulated."""
    print("\nlabels of a set that was left out: APGR of the pair with 0, 25, 50, 100, 400 of them")
    logs = np.log2(1 + np.maximum(seen, 0))
    groups = np.array([row["group"] for row in rows])
    for name in SETS["sets"]:
        inside = np.array([row["set"] == name for row in rows])
        apart = ~inside & ~np.isin(groups, groups[inside])
        pair = next((np.array(at), np.array(weak), np.array(strong)) for task, at, weak, strong, *_ in tasks(rows, np.arange(len(rows))) if task == name)
        at, weak, strong = pair
        if len(at) < 550:
            continue
        base = train(seen[apart], label["large"][apart], weight[apart]).predict(seen)
        told = [measure(base[at], weak, strong)["apgr"]]
        for count in (25, 50, 100, 400):
            found = []
            for repeat in range(8):
                order = np.random.default_rng(repeat).permutation(len(at))
                some, others = order[:count], order[count:]
                if len(others) < 150:
                    continue
                columns = logs[at]
                spread = (columns - columns[some].mean(0)) / (columns[some].std(0) + 0.2)
                lean = (base[at] - base[at[some]].mean()) * 3 / (base[at[some]].std() + 0.01)
                wide = np.column_stack([np.full(len(at), 3.0), lean, spread])
                missed = (strong - weak - base[at])[some]
                weights = np.linalg.solve(wide[some].T @ wide[some] + 1000 * np.eye(wide.shape[1]), wide[some].T @ missed)
                found.append(measure((base[at] + wide @ weights)[others], weak[others], strong[others])["apgr"])
            told.append(np.mean(found) if found else float("nan"))
        print(f"{name:16s} " + " ".join(f"{value:.3f}" for value in told), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="no sets left out")
    parser.add_argument("--out", type=Path, default=Path("shared/router.bin"))
    arguments = parser.parse_args()
    rows, seen = load(arguments.data)
    print(f"{len(rows)} prompts of {len({row['set'] for row in rows})} sets, {seen.shape[1]} features")
    label, weight = labels(rows), weights(rows)
    split = np.array([row["split"] for row in rows])
    for_training, dev = split == "train", np.flatnonzero(split == "dev")
    gains = train(seen[for_training], label["large"][for_training], weight[for_training]).predict(seen)
    print("\ntrained on train, judged on dev")
    report(rows, dev, gains, arguments.rounds)
    pressure = pressures(rows, dev, gains)
    print("\npressure by budget: " + ", ".join(f"{budget} {value:.3f}" for budget, value in pressure.items()))
    if not arguments.quick:
        held_out(rows, seen, label, weight, arguments.rounds)
        corrections(rows, seen, label, weight)
    final = {head: train(seen, label[head], weight, size) for head, size in HEADS.items()}
    arguments.out.write_bytes(pack(final, pressure))
    print(f"\n{arguments.out}: {arguments.out.stat().st_size} bytes, trained on train and dev")


if __name__ == "__main__":
    main()

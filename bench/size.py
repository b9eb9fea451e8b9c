"""Bytes of each function and of its zip, against the budget; with a second folder, of binaries with symbols, the crates that weigh most.

    python3 bench/size.py target/lambda [target/weighed]
"""

import re
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

FUNCTIONS = ["router", "embeddings", "usage-report", "authorizer"]
BUDGET = 4_000_000
MOST = 14
# A path's first name: of the type that a method is of, else of the function.
CRATE = re.compile(r"^(?:<|&|\*|\(|\[|mut |const |dyn |as )*([A-Za-z_][A-Za-z0-9_]*)::")


def sizes(folder):
    """Prints them, and returns the functions that are too large."""
    too_large = []
    for name in FUNCTIONS:
        binary = (folder / name / "bootstrap").read_bytes()
        zipped = len(zlib.compress(binary, 9))
        print(f"{name:<13} {len(binary):>11,} bytes, zipped {zipped:>9,} of {BUDGET:,}")
        if zipped > BUDGET:
            too_large.append(name)
    return too_large


def crates(binary):
    """Bytes of named code and data by the crate that they come from."""
    command = ["nm", "--print-size", "--demangle", binary]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    weights = Counter()
    for line in lines:
        found = re.match(r"^[0-9a-f]+ ([0-9a-f]+) [tTrRdDbBwWV] (.*)", line)
        if found:
            crate = CRATE.match(found[2])
            # AWS-LC, glibc and their kind.
            weights[crate[1] if crate else "C and assembly"] += int(found[1], 16)
    return weights


def main():
    too_large = sizes(Path(sys.argv[1]))
    for folder in sys.argv[2:]:
        for name in FUNCTIONS:
            heaviest = crates(Path(folder) / name / "bootstrap").most_common(MOST)
            told = ", ".join(f"{crate} {weight // 1000}" for crate, weight in heaviest)
            print(f"\n{name}, KB: {told}")
    if too_large:
        sys.exit(f"above the budget: {', '.join(too_large)}; `make size` says which crates weigh most")


main()

"""The crates whose code is in the binary, as cargo tells them: for tools/copyright and tools/sbom."""

import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
Crate = dict[str, Any]


def cargo(*words: str) -> str:
    asked = subprocess.run(["cargo", *words, "--locked"], cwd=ROOT, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise SystemExit(f"cargo {words[0]} failed: {asked.stderr}")
    return asked.stdout


def linked(triple: str) -> list[Crate]:
    """All of them for one target, as cargo metadata describes each; `needs` are those that one links, by id. Cargo's tree knows
    which features are on in the binary; cargo's metadata adds those that only tests turn on."""
    told = cargo("tree", f"--target={triple}", "--edges=normal,no-proc-macro", "--prefix=none", "--format={p}")
    names = {tuple(line.split()[:2]) for line in told.splitlines() if line}
    answer = json.loads(cargo("metadata", "--format-version=1", f"--filter-platform={triple}"))
    crates = {crate["id"]: crate for crate in answer["packages"] if (crate["name"], f"v{crate['version']}") in names}
    if len(crates) != len(names):
        raise SystemExit("cargo tree and cargo metadata name different crates")
    for node in answer["resolve"]["nodes"]:
        if node["id"] in crates:
            needs = (need["pkg"] for need in node["deps"] if any(kind["kind"] is None for kind in need["dep_kinds"]))
            crates[node["id"]]["needs"] = sorted(need for need in needs if need in crates)
    return sorted(crates.values(), key=lambda crate: (crate["name"], crate["version"]))

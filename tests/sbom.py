"""tests/sbom.py NAMECAM: tries tools/sbom on a build for this machine; called by `make deny`.

It must be valid CycloneDX for each architecture of the packages, be the same twice, name the crates, libraries and models, and
refuse a binary with a crate that is not in the list.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parent.parent
HOST = f"{platform.machine()}-unknown-linux-gnu"
# A crate whose paths are in each build, and parts of other kinds.
CRATE = "rustls"
PARTS = {CRATE, "tiny_http", "ring", "dlib", "OpenBLAS", "libjpeg-turbo", "libstdc++", "Rust standard library", "dlib.cohort",
         "dlib_face_recognition_resnet_model_v1.dat", "mmod_human_face_detector.dat", "shape_predictor_5_face_landmarks.dat"}
# What tests and builds alone need.
ABSENT = {"rcgen", "tempfile", "bindgen", "cc", "cmake"}


def sbom(*words: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    given = os.environ | {"PATH": path, "SOURCE_DATE_EPOCH": "1700000000"}
    return subprocess.run([ROOT / "tools/sbom", *words], env=given, capture_output=True, text=True, check=False)


def main() -> None:
    binary = sys.argv[1]
    for words in ([HOST, binary], ["x86_64-unknown-linux-gnu"], ["aarch64-unknown-linux-gnu"]):
        told = sbom(*words)
        assert told.returncode == 0, told.stderr
        assert told.stdout == sbom(*words).stdout, "two runs give two lists"
        if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(told.stdout):
            sys.exit(f"sbom: {words}: {fault}")
        found = json.loads(told.stdout)
        names = {part["name"] for part in found["components"]}
        assert PARTS <= names and not ABSENT & names, (PARTS - names, ABSENT & names)
        assert all(part["licenses"] for part in found["components"])
        print(f"sbom: {words[0]}: {len(found['components'])} parts, valid CycloneDX {found['specVersion']}")

    # A cargo that forgets a crate.
    with tempfile.TemporaryDirectory() as folder:
        cargo = Path(folder, "cargo")
        cargo.write_text(f'#!/bin/sh\nPATH="{os.environ["PATH"]}"\ncargo "$@" | grep -v "^{CRATE} v"\n')
        cargo.chmod(0o755)
        told = sbom(HOST, binary, path=f"{folder}:{os.environ['PATH']}")
        assert told.returncode and f"{CRATE}-" in told.stderr, f"a missing crate was not seen: {told.stderr}"
    print("sbom: a binary with a crate that is not in the list is refused")


main()

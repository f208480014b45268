"""Hold the dependency tree to deny.toml, offline: licences, sources, banned crates, oldest allowed versions.

It reads what `cargo metadata` knows, so it needs no tool that a bare machine lacks. Run by `make lint`.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main():
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    packages = metadata()["packages"]
    faults = [*licences(packages, rules), *sources(packages), *wildcards(packages, rules), *banned(packages, rules)]
    for line in duplicates(packages):
        print(f"note: {line}")
    for line in faults:
        print(f"refused: {line}")
    print(f"{len(packages)} packages, {len(faults)} refused")
    return 1 if faults else 0


def metadata():
    command = ["cargo", "metadata", "--locked", "--offline", "--format-version", "1"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    if run.returncode != 0:
        sys.exit(f"{run.stderr}\n`cargo fetch --locked` brings what is missing; then run this again.")
    return json.loads(run.stdout)


def full_name(package):
    return f"{package['name']} {package['version']}"


# Licences


def licences(packages, rules):
    allowed = set(rules["licenses"]["allow"])
    for package in packages:
        terms = package["license"]
        if not terms or not Terms(terms, allowed).met():
            yield f"{full_name(package)} is under {terms or 'no stated licence'}: not allowed by [licenses] in deny.toml"


class Terms:
    """An SPDX expression: OR binds weaker than AND, WITH belongs to its licence, `/` is an old way to write OR."""

    def __init__(self, text, allowed):
        self.words = re.findall(r"[()]|[\w.+-]+(?:\s+WITH\s+[\w.-]+)?", text.replace("/", " OR "))
        self.allowed = allowed

    def met(self):
        met = self.either()
        return met and not self.words

    def either(self):
        met = self.both()
        while self.take("OR"):
            met = self.both() or met  # the right side is read in any case
        return met

    def both(self):
        met = self.one()
        while self.take("AND"):
            met = self.one() and met
        return met

    def one(self):
        if self.take("("):
            met = self.either()
            return self.take(")") and met
        return bool(self.words) and self.words.pop(0) in self.allowed

    def take(self, word):
        if self.words[:1] != [word]:
            return False
        self.words.pop(0)
        return True


# Sources


def sources(packages):
    """Our own package has no source; all others come from the default registry, which cargo shows as no registry."""
    for package in packages:
        source = package["source"] or "path"
        if source == "path" and Path(package["manifest_path"]).is_relative_to(ROOT):
            continue
        if not source.startswith("registry+"):
            yield f"{full_name(package)} comes from {source}: only the default registry is allowed"
    for package in packages:
        for need in package["dependencies"]:
            if need["registry"]:
                yield f"{full_name(package)} takes {need['name']} from another registry"


def wildcards(packages, rules):
    if rules["bans"]["wildcards"] != "deny":
        return
    for package in packages:
        for need in package["dependencies"]:
            if package["source"] is None and need["req"] == "*" and not need.get("path"):
                yield f"{full_name(package)} takes any version of {need['name']}: name one"


# Bans


def banned(packages, rules):
    for rule in rules["bans"]["deny"]:
        name, _, below = rule["crate"].partition(":<")
        for package in packages:
            if package["name"] == name and (not below or older(package["version"], below)):
                yield f"{full_name(package)}: {rule['reason']}" + (f" (at least {below})" if below else "")


def older(version, than):
    return numbers(version) < numbers(than)


def numbers(version):
    """A pre-release comes before its release."""
    release, _, before = version.partition("+")[0].partition("-")
    return [int(number) for number in release.split(".")], not before


def duplicates(packages):
    versions = defaultdict(list)
    for package in packages:
        versions[package["name"]].append(package["version"])
    return [f"{name} is there {len(found)} times: {', '.join(found)}" for name, found in versions.items() if len(found) > 1]


if __name__ == "__main__":
    sys.exit(main())

"""The command-line clients of the vendors, as they are installed: a turn with a tool, through the gateway, with a model that
neither of them knows."""

import json
import os
import subprocess

import pytest

from test_node import SUITE

CLAUDE = SUITE / "node_modules" / "@anthropic-ai" / "claude-code-linux-x64" / "claude"
CODEX = SUITE / "node_modules" / "@openai" / "codex-linux-x64" / "vendor"
PATIENCE = 90  # seconds for one turn of a program that takes some to start
SECRET = "the heron stands on one leg"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "note.txt").write_text(SECRET)
    return tmp_path


def run(command, folder, variables):
    """In a home of its own, with nothing of the machine's settings."""
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", **variables}
    done = subprocess.run(
        command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def installed(path):
    if not path.exists():
        pytest.skip(f"{path} is not installed: npm has no build of it for this machine")
    return path


def test_claude_code_reads_a_file_and_says_what_is_in_it(gateway, folder):
    variables = {
        "ANTHROPIC_BASE_URL": gateway.origin,
        "ANTHROPIC_AUTH_TOKEN": gateway.token,
        "ANTHROPIC_MODEL": "agent",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "agent",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    question = f"What does {folder}/note.txt say?"
    said = run([installed(CLAUDE), "-p", question, "--allowedTools", "Read", "--output-format", "json"], folder, variables)
    result = json.loads(said)
    assert not result["is_error"] and SECRET in result["result"], said
    assert any(message["role"] == "tool" for message in gateway.primary.last("agent").fields["messages"])


def test_codex_reads_a_file_and_says_what_is_in_it(gateway, folder):
    [codex] = installed(CODEX).glob("*/bin/codex") or installed(CODEX).glob("*/codex/codex")
    home = folder / "codex"
    home.mkdir()
    (home / "config.toml").write_text(f"""
model = "agent"
model_provider = "keyway"
[model_providers.keyway]
name = "Keyway"
base_url = "{gateway.base_url}"
env_key = "KEYWAY_TOKEN"
wire_api = "responses"
""")
    variables = {"CODEX_HOME": str(home), "KEYWAY_TOKEN": gateway.token}
    # What it may do is to read one file; a sandbox inside of a container is often not to be had.
    command = [codex, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    said = run([*command, f"What does {folder}/note.txt say?"], folder, variables)
    assert SECRET in said
    assert any(message["role"] == "tool" for message in gateway.primary.last("agent").fields["messages"])

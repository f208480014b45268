"""The command-line clients of the vendors, as they are installed: a turn with a tool, through the gateway, with a model that
neither of them knows."""

import json
import os
import socket
import subprocess
import threading

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


class Relay:
    """Passes connections on to the gateway, and keeps the first that each client says."""

    def __init__(self, port):
        self.port, self.heard = port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        first = client.recv(65536)
        self.heard.append(first)
        with socket.create_connection(("127.0.0.1", self.port)) as gateway:
            gateway.sendall(first)
            back = threading.Thread(target=pass_on, args=(gateway, client), daemon=True)
            back.start()
            pass_on(client, gateway)
            back.join()


def pass_on(source, sink):
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # either side has gone


def codex(gateway, folder, base_url, more=""):
    [program] = installed(CODEX).glob("*/bin/codex") or installed(CODEX).glob("*/codex/codex")
    home = folder / "codex"
    home.mkdir()
    (home / "config.toml").write_text(f"""
model = "agent"
model_provider = "keyway"
[model_providers.keyway]
name = "Keyway"
base_url = "{base_url}"
env_key = "KEYWAY_TOKEN"
wire_api = "responses"
{more}
""")
    variables = {"CODEX_HOME": str(home), "KEYWAY_TOKEN": gateway.token}
    # What it may do is to read one file; a sandbox inside of a container is often not to be had.
    command = [program, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    said = run([*command, f"What does {folder}/note.txt say?"], folder, variables)
    assert SECRET in said
    assert any(message["role"] == "tool" for message in gateway.primary.last("agent").fields["messages"])


def test_codex_reads_a_file_and_says_what_is_in_it(gateway, folder):
    codex(gateway, folder, gateway.base_url)


def test_codex_does_the_same_over_a_websocket(gateway, folder):
    relay = Relay(gateway.data_port)
    port = relay.listener.getsockname()[1]
    codex(gateway, folder, f"http://127.0.0.1:{port}/v1", "supports_websockets = true")
    relay.listener.close()
    asked = [first.split(b"\r\n")[0] for first in relay.heard]
    assert b"GET /v1/responses HTTP/1.1" in asked and not any(line.startswith(b"POST /v1/responses ") for line in asked)

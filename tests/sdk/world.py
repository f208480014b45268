"""Everything a test talks to: two scripted providers, a llama.cpp server, and the gateway between them and the SDKs.

With KEYWAY_BIN unset there is no gateway: the SDK talks to the provider directly. That proves the tests themselves.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import scripts
import spoken
import tiny_gguf
from scripted import Scripted

HERE = Path(__file__).parent
KEYWAY = os.environ.get("KEYWAY_BIN")
START, STOP, COMMAND = 15, 10, 20  # seconds

PLATFORM_KEY, OWN_KEY, REVOKED_KEY = "sk-platform-1111", "sk-own-2222", "sk-revoked-3333"
TEAM, BRINGER = "team", "bringer"  # workspaces: one on the platform's credentials, one with its own

FAILURES = ["hang", "reset", "garbage", "html", "error-first-event", "error-500", "error-503", "error-429"]
STREAM_FAILURES = [*FAILURES, "cut-before-content"]
AT_BOTH = [f"fails-{kind}" for kind in (*STREAM_FAILURES, "cut")]
BROKEN = [f"error-{status}" for status in scripts.ERRORS]
OTHER_MODELS = ["embedder", "listener", "speaker", "painter", "judge"]
AT_PRIMARY = [*scripts.SCRIPTS, *BROKEN, *OTHER_MODELS, *AT_BOTH]
AT_SPARE = ["error-500", *AT_BOTH]


def settings(world):
    """The whole gateway.toml: the one place to change when a setting's name changes."""
    providers = [
        provider("primary", world.primary.base_url, PLATFORM_KEY, 1, AT_PRIMARY),
        provider("spare", world.spare.base_url, PLATFORM_KEY, 2, AT_SPARE),
        provider("revoked", world.primary.base_url, REVOKED_KEY, 3, ["rejected"]),
        provider("responder", world.primary.base_url, PLATFORM_KEY, 4, ["responder"], protocol="responses"),
        provider("nowhere", f"http://127.0.0.1:{free_port()}/v1", PLATFORM_KEY, 0, ["fails-connect"]),
        provider("also-spare", world.spare.base_url, PLATFORM_KEY, 5, ["fails-connect"]),
        *(speaker(world, protocol, number) for number, protocol in enumerate(spoken.PROTOCOLS, 10)),
    ]
    if world.llama:
        providers.append(table("provider", id="llama", kind="llama-cpp", base_url=f"{world.llama}/v1", prefix="llama", models="any"))
    return "\n".join([
        f'listen = {{ data = "127.0.0.1:{world.data_port}", admin = "127.0.0.1:{world.admin_port}" }}',
        f'data = {{ dir = "{world.folder}/data" }}',
        f'encryption = {{ keys = [{{ file = "{world.folder}/keyway.key" }}] }}',
        'egress = { http = ["127.0.0.1"] }',
        'attempts = { idle_timeout = "2s" }',
        "breaker = { failures = 100 }  # each failure here is wanted, and must not shut the provider for the next test",
        *providers,
        table("org", id="acme", name="Acme", features=["byok"]),
        table("workspace", id=TEAM, name="Team", org="acme", default="primary:chat"),
        table("workspace", id=BRINGER, name="Bringer", org="acme", default="primary:chat"),
    ])


def provider(id, base_url, key, priority, models, protocol="chat"):
    head = table(
        "provider", id=id, kind="custom", protocol=protocol, prefix=id, base_url=base_url,
        api_key=key, priority=priority, timeout="2s", models="listed",
    )
    return head + "\n".join(table("model", provider=id, id=model, **approval(model)) for model in models)


def speaker(world, protocol, priority):
    """A provider that speaks this protocol; Bedrock's requests are signed."""
    if protocol != "bedrock":
        return provider(protocol, world.speaker.base_url, spoken.SPEAKER_KEY, priority, spoken.MODELS, protocol)
    head = table(
        "provider", id=protocol, kind="bedrock", prefix=protocol, base_url=world.speaker.origin, region=spoken.REGION,
        api_key=f"{spoken.ACCESS_KEY}:{spoken.SECRET_KEY}", priority=priority, timeout="2s", models="listed",
    )
    return head + "\n".join(table("model", provider=protocol, id=model) for model in spoken.MODELS)


def approval(model):
    return {"approved_for_chat": False} if model == "no-approval" else {}


def table(kind, /, **fields):
    return f"\n[[{kind}]]\n" + "".join(f"{name} = {toml(value)}\n" for name, value in fields.items())


def toml(value):
    """JSON's strings, numbers, booleans and lists are TOML's too."""
    return json.dumps(value)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class World:
    def __init__(self, folder):
        self.folder, self.direct = folder, KEYWAY is None
        self.processes = []
        self.primary = Scripted("primary", [PLATFORM_KEY, OWN_KEY], scripts.answer).start()
        self.spare = Scripted("spare", [PLATFORM_KEY], scripts.answer).start()
        self.speaker = Scripted("speaker", [], spoken.answer).start()

    def open(self):
        self.llama = self.start_llama()
        if self.direct:
            self.origin, self.token, self.own_token = self.primary.origin, PLATFORM_KEY, OWN_KEY
        else:
            self.start_gateway()

    @property
    def base_url(self):
        return f"{self.origin}/v1"

    def close(self):
        for process in reversed(self.processes):
            end(process)
        self.primary.stop()
        self.spare.stop()
        self.speaker.stop()

    # The real server

    def start_llama(self):
        model = self.folder / "tiny.gguf"
        tiny_gguf.write(model)
        with open(self.folder / "llama.log", "wb") as log:
            command = [sys.executable, HERE / "llama_server.py", model]
            server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.processes.append(server)
        return server.stdout.readline().strip() or None

    # The gateway

    def start_gateway(self):
        self.data_port, self.admin_port = free_port(), free_port()
        self.origin = f"http://127.0.0.1:{self.data_port}"
        self.admin = f"http://127.0.0.1:{self.admin_port}"
        self.config = self.folder / "gateway.toml"
        self.log = self.folder / "keyway.log"
        write_private(self.folder / "keyway.key", "raw:" + "k3yw4y-sdk-suite-not-a-secret-32")
        write_private(self.config, settings(self))
        self.keyway("check")
        self.token = self.keyway("token", "create", "--workspace", TEAM)
        self.own_token = self.keyway("token", "create", "--workspace", BRINGER)
        self.keyway("credential", "set", "--provider", "primary", "--workspace", BRINGER, stdin=OWN_KEY)
        with open(self.log, "wb") as log:
            self.gateway = subprocess.Popen([KEYWAY, "serve"], env=self.environment(), cwd=self.folder, stdout=log, stderr=log)
        self.processes.append(self.gateway)
        self.wait_until_ready()

    def keyway(self, *command, stdin=""):
        """Runs one command of the gateway's own line; what it prints is the answer."""
        run = subprocess.run(
            [KEYWAY, *command], env=self.environment(), cwd=self.folder,
            input=stdin, capture_output=True, text=True, timeout=COMMAND,
        )
        assert run.returncode == 0, f"keyway {' '.join(command)} ended with {run.returncode}:\n{run.stdout}{run.stderr}"
        return run.stdout.strip()

    def environment(self):
        """Nothing of the machine's own settings reaches the gateway: no stray key, no proxy."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "KEYWAY_CONFIG": str(self.config)}

    def wait_until_ready(self):
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and self.gateway.poll() is None:
            if answers(f"{self.admin}/readyz"):
                return
            time.sleep(0.05)  # a start is waited for; nothing can tell us of it
        fault = f"was not ready within {START} s" if self.gateway.poll() is None else f"ended with {self.gateway.returncode}"
        raise AssertionError(f"the gateway {fault}:\n{self.log_tail()}")

    def log_tail(self):
        return self.log.read_text(errors="replace")[-4000:]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as reply:
            return reply.status == 200
    except OSError:
        return False


def write_private(path, text):
    path.touch(mode=0o600)
    path.write_text(text)


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP)

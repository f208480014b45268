"""What is measured: direct, nginx, the bare pass-through, Keyway. Each with its own folder, port and bearers.

`keyway_config` is the only place that knows Keyway's settings and commands.
"""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import gauge
import stage as stages

WORKSPACES = 1000


class Target:
    """Something that takes calls on a port. `start` gives the seconds from exec to the first whole answer."""

    name = "?"
    label = "?"
    # Put before the program: valgrind, when instructions are counted.
    wrapper = ()
    # Part of the names of functions that only threads have which serve calls, and how the names of these threads begin,
    # where others do work of their own.
    serves, served_by = "hyper::", None

    def __init__(self, stage, number=0):
        self.stage = stage
        self.folder = stage.folder / f"{self.name}-{number}"
        self.folder.mkdir()
        self.port = stages.free_port()
        self.bearers = stage.upstream_bearers
        self.process = None
        self.prepare()

    def prepare(self):
        pass

    def command(self):
        raise NotImplementedError

    def start(self):
        began = time.monotonic()
        log = f"{self.folder.name}/{self.name}"
        self.process = self.stage.start(log, self.command())
        first_answer(self, began)
        return time.monotonic() - began

    def end(self):
        # What counts instructions is slow to end, and writes them down last.
        self.stage.end(self.process, patience=90 if self.wrapper else 5)
        self.process = None

    def cpu_ns(self):
        return gauge.tree_cpu_ns(self.process.pid) if self.process else 0

    def pids(self):
        return gauge.tree(self.process.pid) if self.process else []


class Direct(Target):
    """No gateway: the driver speaks to the mock provider itself."""

    name, label = "direct", "direct"

    def prepare(self):
        self.port = self.stage.upstream_port

    def start(self):
        return 0.0

    def end(self):
        pass


class Bare(Target):
    name, label = "bare", "bare hyper"

    def command(self):
        upstream = f"127.0.0.1:{self.stage.upstream_port}"
        return [*self.wrapper, self.stage.rig, "bare", "--address", f"127.0.0.1:{self.port}", "--upstream", upstream]


class Nginx(Target):
    name, label = "nginx", "nginx"

    def prepare(self):
        (self.folder / "nginx.conf").write_text(nginx_config(self.folder, self.port, self.stage.upstream_port))

    def command(self):
        return ["nginx", "-p", self.folder, "-c", self.folder / "nginx.conf", "-e", self.folder / "error.log"]


def nginx_config(folder, port, upstream_port):
    """One worker. Logs each request, as Keyway does; buffers nothing of bodies and streams, as Keyway does."""
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""
{user}
worker_processes 1;
worker_rlimit_nofile 19000;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 16384; }}
http {{
    access_log {folder}/access.log combined buffer=64k flush=1s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_time 24h;
    keepalive_timeout 1h;
    client_max_body_size 64m;
    upstream provider {{
        server 127.0.0.1:{upstream_port};
        keepalive 1024;
        keepalive_requests 1000000000;
        keepalive_time 24h;
        keepalive_timeout 1h;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
            client_body_buffer_size 128k;
            proxy_read_timeout 1h;
        }}
    }}
}}
"""


class Keyway(Target):
    name, label = "keyway", "keyway"
    serves, served_by = "keyway::proxy::Proxy::attempted", "core-"
    program = None
    scraped = True
    # The address of a Postgres that keeps the directory in place of the sealed file. What Keyway has there goes.
    postgres = None

    def prepare(self):
        self.admin_port = stages.free_port()
        keyway_config(self)
        self.scraper = None

    def command(self):
        return [*self.wrapper, self.program, "serve", "--config", self.folder / "gateway.toml"]

    def start(self):
        seconds = super().start()
        self.scraper = Scraper(self.admin_port) if self.scraped else None
        return seconds

    def end(self):
        if self.scraper:
            self.scraper.end()
        super().end()


def keyway_config(keyway):
    """Writes gateway.toml and the key file, gives some workspaces credentials of their own, and makes their tokens.

    Everything is on: token check, 1,000 workspaces, limits set (and never met), prices, log lines, journal. `[limits]`
    is raised; the rest is as it comes.
    """
    folder = keyway.folder
    key = base64.b64encode(os.urandom(32)).decode()
    (folder / "keyway.key").write_text(f"base64:{key}\n")
    (folder / "keyway.key").chmod(0o600)
    workspaces = "".join(
        f'[[workspace]]\nid = "w{number:04}"\norg = "bench"\n'
        "limits = { requests_per_minute = 1000000000, parallel = 1000000 }\n\n"
        for number in range(WORKSPACES)
    )
    models = "".join(
        f'[[model]]\nprovider = "bench"\nid = "{model}"\ninput_cost = 0.15\noutput_cost = 0.60\n\n'
        for model in ("bench-small", "bench-stream-100x20ms", "bench-burst-10000")
    )
    (folder / "gateway.toml").write_text(f"""
[listen]
data = "127.0.0.1:{keyway.port}"
admin = "127.0.0.1:{keyway.admin_port}"

[data]
dir = "{folder}/data"
{empty_store(keyway.postgres)}
[encryption]
keys = [{{ file = "{folder}/keyway.key" }}]

[limits]
body = "64MiB"
bodies_in_flight = "1GiB"
connections = 16384
connections_per_address = 16384
requests_in_flight = 16384
requests_in_flight_per_workspace = 16384
requests_in_flight_per_provider = 16384

[egress]
http = ["127.0.0.1"]

[[provider]]
id = "bench"
kind = "openai"
prefix = "bench"
base_url = "http://127.0.0.1:{keyway.stage.upstream_port}/v1"
api_key = "{stages.UPSTREAM_KEY}"
models = "any"

[[org]]
id = "bench"
features = ["byok"]

{models}{workspaces}""")
    config = ["--config", folder / "gateway.toml"]
    tokens = []
    for number in range(stages.HOLDERS):
        workspace = f"w{number:04}"
        own = f"{stages.UPSTREAM_KEY}-{number}\n"
        run_keyway(keyway, ["credential", "set", "--provider", "bench", "--workspace", workspace, *config], own)
        tokens.append(run_keyway(keyway, ["token", "create", "--workspace", workspace, *config]).strip())
    (folder / "bearers").write_text("\n".join(tokens) + "\n")
    (folder / "bearers").chmod(0o600)
    keyway.bearers = folder / "bearers"


def empty_store(postgres):
    """The settings of a database in which Keyway has nothing yet; nothing for the sealed file."""
    if not postgres:
        return ""
    drop = ["psql", "--quiet", postgres, "-c", "set client_min_messages = error; drop schema if exists keyway cascade"]
    subprocess.run(drop, check=True, timeout=60)
    return f'[store]\nkind = "postgres"\nurl = "{postgres}"\n'


def run_keyway(keyway, arguments, stdin=""):
    command = [str(keyway.program), *map(str, arguments)]
    told = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
    if told.returncode:
        raise stages.Trouble(f"`keyway {' '.join(command[1:3])}` failed: {told.stderr.strip()}")
    return told.stdout


class Scraper:
    """Reads /metrics each second, as Prometheus would, and keeps the last text."""

    def __init__(self, port):
        self.port = port
        self.scrapes = 0
        self.text = ""
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.scrape, daemon=True)
        self.thread.start()

    def scrape(self):
        while not self.stop.wait(1):
            with contextlib.suppress(OSError):
                self.text = stages.get(self.port, "/metrics")
                self.scrapes += 1

    def end(self):
        self.stop.set()
        self.thread.join(10)


def first_answer(target, began):
    """Tries until the target answers a call with 200."""
    bearer = target.bearers.read_text().splitlines()[0]
    body = json.dumps({"model": "bench:bench-small", "user": "k0", "messages": [{"role": "user", "content": "hi"}]})
    body = body.replace(": ", ":")
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {bearer}\r\n"
        f"content-type: application/json\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    )
    problem = None
    while time.monotonic() - began < stages.START_SECONDS_MAX * (10 if target.wrapper else 1):
        if not target.process.lives():
            raise stages.Trouble(f"{target.name} ended at its start: {target.process.last_words()}")
        try:
            stages.exchange(target.port, request)
            return
        except OSError as error:
            problem = error
        time.sleep(0.0003)
    raise stages.Trouble(f"{target.name} gives no answer ({problem}): {target.process.last_words()}")


def need_nginx():
    """Installs nginx where it is missing and may be installed."""
    if shutil.which("nginx"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise stages.Trouble("nginx is missing, and only root with apt can install it here")
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "nginx-light"]):
        # Runlevel 1 keeps the package from starting a server of its own.
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(["apt-get", *words], check=True, env=environment, stdout=subprocess.DEVNULL)

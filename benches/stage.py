"""The stage a run plays on: one temporary folder, ports, processes of our own, and their orderly end.

Takes programs to start, gives running ones. Must never end a process it did not start.
"""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
UPSTREAM_KEY = "sk-bench-upstream-key"
# Workspaces with a credential of their own; each of the driver's connections uses one, and the mock provider
# checks that it is shown the right one. The others of the thousand only make the directory as large as meant.
HOLDERS = 4
# A held stream takes two descriptors of the target; 5,000 must fit.
DESCRIPTORS_MIN = 12_000
START_SECONDS_MAX = 20


class Trouble(Exception):
    """What went wrong, in words for the person at the terminal."""


def build(arguments, folder, extra_env=None):
    """Builds with cargo and gives the folder of the programs."""
    told = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT, check=True, capture_output=True
    )
    target = pathlib.Path(json.loads(told.stdout)["target_directory"]) / folder
    command = ["cargo", "rustc" if "--" in arguments else "build", "--release", "--locked", "--target-dir", str(target), *arguments]
    # What a script prints is its own.
    if subprocess.run(command, cwd=ROOT, env=os.environ | (extra_env or {}), stdout=sys.stderr).returncode:
        raise Trouble(f"the build failed: {' '.join(command)}")
    return target / "release"


def build_rig():
    return build(["--manifest-path", str(HERE / "rig" / "Cargo.toml")], "rig") / "rig"


def build_keyway():
    """As it is released."""
    told = subprocess.run([HERE / "release"], stdout=subprocess.PIPE, text=True)
    if told.returncode:
        raise Trouble("the build failed: benches/release")
    return pathlib.Path(told.stdout.split()[-1])


def commit():
    """The commit that is measured, marked when the tree differs from it."""
    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + ("-changed" if changed else "")


class Process:
    """One program in its own process group, so that it ends with all its children."""

    def __init__(self, command, log, stdout=None, environment=None):
        self.log = log
        with open(log, "ab") as file:
            self.popen = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=stdout or file,
                stderr=file,
                start_new_session=True,
                env=environment,
                text=True,
            )
        self.pid = self.popen.pid

    def lives(self):
        return self.popen.poll() is None

    def last_words(self):
        with open(self.log, errors="replace") as file:
            return file.read()[-2000:]

    def end(self, patience=5):
        for sign, patience in ((signal.SIGTERM, patience), (signal.SIGKILL, 5)):
            if not self.lives():
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(patience)


class Stage:
    """Used with `with`: whatever was started on it ends with it, and its folder goes. Without a rig it has no provider."""

    def __init__(self, rig):
        raise_descriptor_limit()
        self.rig = rig
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="keyway-bench-"))
        self.processes = []
        self.upstream_port = free_port()
        keys = [f"{UPSTREAM_KEY}-{number}" for number in range(HOLDERS)]
        self.upstream_bearers = self.write("upstream-bearers", "\n".join(keys) + "\n")

    def __enter__(self):
        address = f"127.0.0.1:{self.upstream_port}"
        # So that being ended from outside, too, ends what we started.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            command = [self.rig, "upstream", "--address", address, "--key", UPSTREAM_KEY]
            if self.rig:
                wait_for_port(self.upstream_port, self.start("upstream", command))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, name, command, **options):
        process = Process(command, self.folder / f"{name}.log", **options)
        self.processes.append(process)
        return process

    def end(self, process, patience=5):
        process.end(patience)
        self.processes.remove(process)

    def pids(self):
        return [process.pid for process in self.processes]

    def driver(self, target, model, seconds, **flags):
        """The driver's command line; `body_bytes=8192` becomes `--body-bytes 8192`, `hold=True` becomes `--hold`."""
        command = [self.rig, "drive", "--address", f"127.0.0.1:{target.port}", "--bearers", target.bearers]
        command += ["--model", model, "--seconds", seconds]
        for name, value in flags.items():
            command += [f"--{name.replace('_', '-')}"] + ([] if value is True else [value])
        return command

    def drive(self, target, model, seconds, **flags):
        """Runs the driver to its end and gives what it counted."""
        process = self.start("drive", self.driver(target, model, seconds, **flags), stdout=subprocess.PIPE)
        try:
            text, _ = process.popen.communicate(timeout=seconds + 90)
        except subprocess.TimeoutExpired:
            raise Trouble(f"the driver did not end while it drove {target.name} with {model}") from None
        finally:
            self.end(process)
        if process.popen.returncode:
            raise Trouble(f"the driver failed: {process.last_words()}")
        return json.loads(text.splitlines()[-1])

    def counts(self):
        """What the mock provider has counted since it started."""
        return json.loads(get(self.upstream_port, "/counts"))

    @contextlib.contextmanager
    def awake_cores(self):
        """A spinner of the lowest class on each core: a halted virtual core would add 50-200 µs to each wake-up."""
        spin = [self.rig, "spin", "--seconds", "300"]
        spinners = [
            self.start("spin", ["taskset", "-c", core, "chrt", "-i", "0", *spin]) for core in os.sched_getaffinity(0)
        ]
        try:
            yield
        finally:
            for spinner in spinners:
                self.end(spinner)


def raise_descriptor_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS_MIN:
        raise Trouble(f"this shell allows {hard} open files (was {soft}); 5,000 held streams need {DESCRIPTORS_MIN}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process):
    until = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < until:
        if not process.lives():
            raise Trouble(f"it ended at its start: {process.last_words()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise Trouble(f"nothing listens on port {port}: {process.last_words()}")


def get(port, path, timeout=5):
    """A GET on loopback; the answer's body, or an error if the status is not 200."""
    return exchange(port, f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n", timeout)


def exchange(port, request, timeout=5):
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(request.encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise OSError(f"status {head[:40]!r}")
    return body.decode(errors="replace")

"""Reads what the machine says of itself and of a process: CPU time, memory, disturbance, facts.

Takes process ids, gives numbers. Must never start or end anything.
"""

import glob
import os
import platform
import re
import time

# Above this share of one core, other processes' work shows in our figures.
OTHERS_SHARE_MAX = 0.10
# What the hypervisor took away, as a share of all cores' time.
STEAL_SHARE_MAX = 0.05


def cpu_ns(pid):
    """CPU time of a process with all its threads, also ended ones, in nanoseconds, by the scheduler's accounting."""
    # The kernel's clock id of a process: its complemented id, and 2 for the scheduler's own sum.
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0


def parents():
    """Each living process's parent."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as file:
                head, tail = file.read().rsplit(")", 1)
        except OSError:
            continue
        found[int(head.split()[0])] = int(tail.split()[1])
    return found


def tree(pid):
    """A process and its living descendants."""
    children = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found = [pid]
    for one in found:
        found.extend(children.get(one, []))
    return found


def tree_cpu_ns(pid):
    return sum(cpu_ns(one) for one in tree(pid))


def thread_cpu_ns(pid):
    """CPU time by thread, of the whole tree."""
    times = {}
    for one in tree(pid):
        for path in glob.glob(f"/proc/{one}/task/*/schedstat"):
            try:
                with open(path) as file:
                    times[path] = int(file.read().split()[0])
            except OSError:
                continue
    return times


def busiest_share(before, after):
    """How much of the work between two readings the busiest thread did: 0.5 is even on two cores, 1.0 is one alone."""
    spent = [after[thread] - before.get(thread, 0) for thread in after]
    return max(spent, default=0) / (sum(spent) or 1)


def beside_shares(before, after, served_by):
    """What the journal's threads spent between two readings, and the ledger's with all else that serves no calls, each over what
    those spent whose names begin so.

    Without a process' first thread, which writes the log.
    """
    serving = journal = others = 0
    for thread in after:
        _, _, process, _, task, _ = thread.split("/")
        if process == task:
            continue
        spent = after[thread] - before.get(thread, 0)
        try:
            with open(thread.replace("schedstat", "comm")) as file:
                name = file.read()
        except OSError:
            name = ""
        if name.startswith(served_by):
            serving += spent
        elif name.startswith("journal"):
            journal += spent
        else:
            others += spent
    return (journal / serving, others / serving) if serving else (None, None)


def memory_kib(pid, field="Pss"):
    """Memory of the whole tree; Pss counts a shared page by its share."""
    total = 0
    for one in tree(pid):
        try:
            with open(f"/proc/{one}/smaps_rollup") as file:
                total += int(re.search(rf"^{field}:\s+(\d+)", file.read(), re.M).group(1))
        except (OSError, AttributeError):
            continue
    return total


def rss_kib(pid):
    return memory_kib(pid, "Rss")


class Disturbance:
    """What else the machine did while we measured. `ours` gives the ids of our own processes."""

    def __init__(self, ours):
        self.ours = ours
        self.start = time.monotonic()
        self.before = self._others()
        self.steal_before = steal_seconds()

    def _others(self):
        ours = set(self.ours()) | {os.getpid()}
        # Kernel threads are left out: what they do here, they do for the loopback traffic.
        return {pid: cpu_ns(pid) for pid, parent in parents().items() if pid not in ours and 2 not in (pid, parent)}

    def read(self):
        """Load average, others' CPU as a share of one core, stolen time as a share of all, and the verdict."""
        ours = set(self.ours())
        seconds = time.monotonic() - self.start
        spent = sum(now - self.before.get(pid, 0) for pid, now in self._others().items() if pid not in ours)
        others = spent / 1e9 / seconds
        stolen = (steal_seconds() - self.steal_before) / seconds / os.cpu_count()
        return {
            "load1": os.getloadavg()[0],
            "others_cpu": round(others, 3),
            "stolen": round(stolen, 3),
            "disturbed": others > OTHERS_SHARE_MAX or stolen > STEAL_SHARE_MAX,
        }


def wait_for_quiet(ours, seconds_max):
    """Waits, at most so long, for half a second in which others leave the machine alone; gives the seconds it took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds_max:
        look = Disturbance(ours)
        time.sleep(0.5)
        if not look.read()["disturbed"]:
            break
    return time.monotonic() - began


def steal_seconds():
    with open("/proc/stat") as file:
        return int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


def machine():
    """Facts that matter to a figure, and nothing that names the machine."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*:\s*(.+)", file.read())
    with open("/proc/meminfo") as file:
        memory = int(re.search(r"MemTotal:\s+(\d+)", file.read()).group(1))
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**20, 1),
        "kernel": re.match(r"[\d.]+", platform.release()).group(0),
        "system": platform.system(),
    }

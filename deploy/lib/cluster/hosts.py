"""A cluster of hosts on this machine: making it, finding it again, running programs in its hosts.

Everything known about a cluster stands in FOLDER/state.json, so that any number of commands, shells
and tests can use the same one. Owner: deploy/cluster and tests/cluster.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[3]
BASE = pathlib.Path(os.environ.get("WARREN_CLUSTER_DIR", "/var/tmp/warren-cluster"))
NETWORK = "10.77.0."
AMQP_PORT = 5672
CLONE_NEWNET = 0x40000000


class ClusterError(Exception):
    """What a person should read; it ends a command with exit code 1."""


def start_time(pid):
    """A process's start in clock ticks, None when there is no such process."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return None
    return None if stat[0] in "ZX" else int(stat[19])


def process_state(pid):
    """The kernel's letter: R, S, D, T (stopped), Z; X when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "X"


def why_not():
    """Why this machine cannot hold a cluster; empty when it can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    for tool in ("ip", "nsenter", "unshare", "nft"):
        if not shutil.which(tool):
            return f"there is no `{tool}` (packages iproute2, util-linux, nftables)"
    probe = subprocess.run(
        ["unshare", "--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--mount-proc", "sh", "-ec",
         "ip link add name br0 type bridge; ip link add name p0 type veth peer name p1; nft add table inet probe;"
         "mount -t tmpfs none /run; mkdir /run/u /run/w;"
         "mount -t overlay none -o lowerdir=/etc,upperdir=/run/u,workdir=/run/w /etc"],
        capture_output=True, text=True)
    return (f"no namespaces, bridges, nftables or overlays here: {probe.stderr.strip()}"
            if probe.returncode else "")


class Host:
    """One host of a running cluster: its name, address, folders and processes."""

    def __init__(self, cluster, facts):
        self.cluster, self.name, self.address = cluster, facts["name"], facts["address"]
        self.number, self.pid, self._start = facts["number"], facts["pid"], facts["pid_start"]
        self.folder = cluster.folder / self.name
        self.node = f"rabbit@{self.name}"
        self.lib, self.log, self.etc = (self.folder / part for part in ("lib", "log", "etc"))
        self.cookie = self.lib / ".erlang.cookie"
        self.bin = cluster.bin  # another folder: another release on this host

    def alive(self):
        return start_time(self.pid) == self._start

    # -- programs in the host ----------------------------------------------------------------------

    def environment(self, more=None):
        """What a root shell of the host knows."""
        path = f"{self.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        kept = {key: os.environ[key] for key in ("TERM", "LANG", "LC_ALL", "ASAN_OPTIONS", "TSAN_OPTIONS",
                                                 "UBSAN_OPTIONS") if key in os.environ}
        return {"LANG": "C.UTF-8", **kept, "PATH": path, "HOME": "/var/lib/rabbitmq", "USER": "root",
                "HOSTNAME": self.name, **(more or {})}

    def inside(self, *command):
        """The command line that runs `command` in this host."""
        if not self.alive():
            raise ClusterError(f"host {self.name} is gone; `down` and `up` make it anew")
        return ["nsenter", "-t", str(self.pid), "-n", "-u", "-m", "-i", "-p", "--wdns=/var/lib/rabbitmq", "--",
                *map(str, command)]

    def run(self, *command, env=None, timeout=60, **more):
        """Runs a program to its end; stdout and stderr as text."""
        more.setdefault("capture_output", True)
        more.setdefault("stdin", subprocess.DEVNULL if "input" not in more else None)
        if more["stdin"] is None:
            del more["stdin"]
        return subprocess.run(self.inside(*command), env=self.environment(env), text=True, timeout=timeout,
                              **more)

    def spawn(self, *command, env=None, log="console.log"):
        """Starts a program that belongs to the host from then on; its output goes to the host's logs."""
        with open(self.log / log, "ab") as out:
            done = subprocess.run(self.inside("setsid", "--fork", *command), env=self.environment(env),
                                  stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=20)
        if done.returncode != 0:
            raise ClusterError(f"{self.name}: {command[0]} could not be started (exit {done.returncode})")

    def processes(self):
        """{pid: argument list} of everything that runs in the host, seen from outside."""
        found = {}
        try:
            mine = os.readlink(f"/proc/{self.pid}/ns/pid")
        except OSError:
            return found
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == self.pid:
                continue
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{entry}/ns/pid") == mine and start_time(entry) is not None:
                    raw = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes()
                    found[int(entry)] = raw.decode(errors="replace").split("\0")[:-1]
        return found

    def servers(self):
        """The broker's processes, however they were started (also by hand, also -detached)."""
        return [pid for pid, words in self.processes().items() if words and (
            os.path.basename(words[0]) == "rabbitmq-server" or
            os.path.basename(words[0]) in ("sh", "bash") and
            any(os.path.basename(word) == "rabbitmq-server" for word in words[1:3]) or
            os.path.basename(words[0]).startswith("beam") and "boot" in words)]

    # -- the broker --------------------------------------------------------------------------------

    def start(self, env=None, wait=True, timeout=60, extra=()):
        """Starts the node unless it runs, and waits until it takes AMQP connections."""
        if not self.servers():
            self.spawn("rabbitmq-server", *extra, env=env)
        if wait:
            self.wait_ready(timeout)

    def wait_ready(self, timeout=60):
        deadline, seen = time.monotonic() + timeout, False
        while not self.answers():
            running = bool(self.servers())
            if seen and not running:
                raise ClusterError(f"the node on {self.name} ended while it started:\n{self.tail()}")
            seen = seen or running
            if time.monotonic() > deadline:
                raise ClusterError(f"the node on {self.name} did not answer within {timeout} s:\n"
                                   + self.tail())
            time.sleep(0.05)

    def answers(self, port=AMQP_PORT):
        """True when something accepts connections on the port, seen from the host itself."""
        try:
            with self.network(), socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        except OSError:
            return False

    def signal(self, number):
        """Sends a signal to the node; how many processes got it."""
        sent = 0
        for pid in self.servers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                sent += 1
        return sent

    def pause(self):
        """SIGSTOP; returns when every process of the node has stopped."""
        sent, deadline = self.signal(signal.SIGSTOP), time.monotonic() + 5
        while sent and not all(process_state(pid) in "Tt" for pid in self.servers()):
            if time.monotonic() > deadline:
                raise ClusterError(f"the node on {self.name} does not stop")
            time.sleep(0.005)
        return sent

    def resume(self):
        return self.signal(signal.SIGCONT)

    def kill(self):
        """kill -9 of the node; returns when it is gone."""
        sent = self.signal(signal.SIGKILL)
        self.wait_gone(10)
        return sent

    def stop(self, timeout=20):
        """SIGTERM, and SIGKILL when that was not enough; True when the node went by itself."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.wait_gone(timeout)
            return True
        except ClusterError:
            self.kill()
            return False

    def wait_gone(self, timeout=20):
        deadline = time.monotonic() + timeout
        while self.servers():
            if time.monotonic() > deadline:
                raise ClusterError(f"the node on {self.name} still runs after {timeout} s")
            time.sleep(0.02)

    def state(self):
        """stopped, paused, starting or running."""
        pids = self.servers()
        if not pids:
            return "stopped"
        if any(process_state(pid) in "Tt" for pid in pids):
            return "paused"
        return "running" if self.answers() else "starting"

    def tail(self, size=1500):
        """The end of the logs, for messages."""
        text = ""
        for path in sorted(self.log.glob("*")):
            if path.is_file():
                text += f"--- {self.name}:{path.name}\n{path.read_text(errors='replace')[-size:]}\n"
        return text

    @contextlib.contextmanager
    def network(self):
        """Sockets that this thread opens meanwhile belong to the host, and stay there."""
        import ctypes  # here, since nothing else needs it
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as back, open(f"/proc/{self.pid}/ns/net") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"the network of host {self.name}")
            try:
                yield
            finally:
                if libc.setns(back.fileno(), CLONE_NEWNET) != 0:
                    os.abort()  # going on in the wrong network would be worse


class Cluster:
    """A cluster by its name. `open` finds one that is there, `create` makes one."""

    def __init__(self, folder, state):
        self.folder, self.name, self._state = folder, folder.name, state
        self.bin = state["bin"]
        self.hosts = {facts["name"]: Host(self, facts) for facts in state["hosts"]}

    def __getitem__(self, name):
        if name not in self.hosts:
            raise ClusterError(f"there is no host {name}; there are {', '.join(self.hosts)}")
        return self.hosts[name]

    def __iter__(self):
        return iter(self.hosts.values())

    @property
    def keeper(self):
        return self._state["keeper"]

    def alive(self):
        return start_time(self.keeper) == self._state["keeper_start"]

    @contextlib.contextmanager
    def faults(self):
        """The fault settings ("cuts", "loss", "delay"), to be changed and stored under a lock."""
        with open(self.folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = self.folder / "state.json"
            state = json.loads(path.read_text())
            yield state
            part = path.with_suffix(".part")
            part.write_text(json.dumps(state, indent=1))
            part.rename(path)
            self._state = state

    def settings(self):
        return json.loads((self.folder / "state.json").read_text())


def check_names(names):
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*", name):
            raise ClusterError(f"`{name}` is no host name")
    if len(set(names)) != len(names):
        raise ClusterError("a host name occurs twice")
    if not 1 <= len(names) <= 50:
        raise ClusterError("a cluster has 1 to 50 hosts")


def find(name):
    """The cluster of that name, None when there is none."""
    folder = BASE / name
    try:
        cluster = Cluster(folder, json.loads((folder / "state.json").read_text()))
    except (OSError, ValueError, KeyError):
        return None
    return cluster if cluster.alive() else None


def names():
    """The clusters that run."""
    return [path.name for path in sorted(BASE.glob("*")) if find(path.name)] if BASE.exists() else []


def plan(host_names, cookie, disc_mb):
    lines = "".join(f"{NETWORK}{number}\t{name}\n" for number, name in enumerate(host_names, 1))
    return [{"name": name, "number": number, "address": f"{NETWORK}{number}", "hosts_file": lines,
             "cookie": cookie, "disc_mb": disc_mb} for number, name in enumerate(host_names, 1)]


def create(name, host_names, bin_dir, cookie=None, tied_to=None, disc_mb=0):
    """Makes the hosts; nothing runs in them yet. A cookie of "" leaves them without one."""
    check_names(host_names)
    if reason := why_not():
        raise ClusterError(reason)
    if find(name):
        raise ClusterError(f"cluster `{name}` is up already (`status` shows it, `down` ends it)")
    folder = BASE / name
    shutil.rmtree(folder, ignore_errors=True)  # of a machine that went down
    folder.mkdir(parents=True, mode=0o755)
    cookie = secrets.token_hex(16).upper() if cookie is None else cookie
    (folder / "plan.json").touch(mode=0o600)
    (folder / "plan.json").write_text(json.dumps(
        {"hosts": plan(host_names, cookie, disc_mb), "bin": str(bin_dir), "tied_to": tied_to}))
    with open(folder / "keeper.log", "wb") as log:
        keeper = subprocess.Popen([sys.executable, str(pathlib.Path(__file__).parent / "keeper.py"),
                                   str(folder)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while not (folder / "state.json").exists():
            if keeper.poll() is not None or time.monotonic() > deadline:
                raise ClusterError("the hosts could not be made: "
                                   + (folder / "keeper.log").read_text(errors="replace").strip()[-800:])
            time.sleep(0.02)
    except BaseException:
        keeper.kill()
        keeper.wait()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return find(name)


def destroy(name, timeout=20):
    """Ends the cluster with everything in it; True when there was something to end."""
    folder, cluster = BASE / name, find(name)
    if cluster:
        os.kill(cluster.keeper, signal.SIGKILL)
        deadline = time.monotonic() + timeout
        while cluster.alive() or any(host.alive() for host in cluster):
            with contextlib.suppress(ChildProcessError):  # when it is our own child
                os.waitpid(cluster.keeper, os.WNOHANG)
            if time.monotonic() > deadline:
                raise ClusterError(f"cluster `{name}` does not end: process {cluster.keeper}")
            time.sleep(0.02)
    had = folder.exists()
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        BASE.rmdir()
    return had

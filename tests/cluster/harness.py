"""The cluster suite's vocabulary: tests, the bed of hosts each of them gets, waiting, checks.

A test is a function `test_<ROW>_<what>(bed)` marked with @case; the row id of features.md is part of
its name. Its hosts are made for it and end with it, whatever happens.
"""

import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import sys
import threading
import time

import pika

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "deploy" / "lib" / "cluster"))
import faults  # noqa: E402
import hosts  # noqa: E402

TESTS = []
_serial, _beds, _lock = itertools.count(1), set(), threading.Lock()


class Skip(Exception):
    """The test cannot be made here; the text says why."""


class Test:
    def __init__(self, function, name, args, settings):
        self.function, self.name, self.args = function, name, args
        self.__dict__.update(settings)


def case(count=3, *, names=None, joined=True, start=True, ram=(), conf="", cookie=None, disc_mb=0,
         env=None, long=False, alone=False, weight=1, oracle=True, waits="", table=None):
    """Registers a test and says what it needs.

    count, names  hosts (n1, n2, ... without names)
    joined        all nodes are members of one cluster; `ram` of them as RAM nodes
    start         nodes run when the test begins
    conf, env     text of rabbitmq.conf and environment of every node
    long          only with --long; alone: measures time, runs by itself; weight: seconds, roughly
    oracle        False when RabbitMQ 3.10 cannot or does not do this
    waits         what is missing for it to pass; such a test runs only with --pending
    table         {suffix: argument}: one test per entry
    """
    settings = {"hosts": tuple(names or (f"n{n}" for n in range(1, count + 1))), "joined": joined,
                "start": start, "ram": tuple(ram), "conf": conf, "cookie": cookie, "disc_mb": disc_mb,
                "env": env, "long": long, "alone": alone, "weight": weight, "oracle": oracle,
                "waits": waits}

    def register(function):
        for suffix, arg in (table or {None: None}).items():
            name = function.__name__ + ("" if suffix is None else f"[{suffix}]")
            TESTS.append(Test(function, name, () if table is None else (arg,), settings))
        return function
    return register


class Bed:
    """What a test gets: a cluster of hosts, ctl, connections; all of it ends with the test."""

    def __init__(self, test, options):
        self.test, self.oracle, self.bin = test, options.oracle, options.bin
        self.name = f"t{os.getpid()}-{next(_serial)}"
        self.cluster, self._open, self._stops = None, [], []
        self.slow = 6 if self.oracle else 1  # its tools take seconds

    def make(self):
        test = self.test
        with _lock:
            _beds.add(self.name)
        if not test.hosts:
            return
        self.cluster = hosts.create(self.name, test.hosts, self.bin, cookie=test.cookie,
                                    tied_to=os.getpid(), disc_mb=test.disc_mb)
        for host in self:
            (host.etc / "rabbitmq.conf").write_text(test.conf)
        if test.start:
            self.start(*test.hosts)
            if test.joined:
                for name in test.hosts[1:]:
                    self.join(name, test.hosts[0], ram=name in test.ram)

    def end(self):
        for stop in self._stops:
            with contextlib.suppress(Exception):
                stop()
        for link in self._open:
            with contextlib.suppress(Exception):
                link._impl._transport.abort() if hasattr(link, "_impl") else link.close()
        hosts.destroy(self.name)
        with _lock:
            _beds.discard(self.name)

    def on_end(self, stop):
        """Runs `stop` before the hosts go."""
        self._stops.append(stop)

    def keep_logs(self, folder):
        """Copies every host's logs; where to."""
        shutil.rmtree(folder, ignore_errors=True)
        for host in self:
            shutil.copytree(host.log, folder / host.name, dirs_exist_ok=True)
        return folder

    def __getitem__(self, name):
        return self.cluster[name]

    def __iter__(self):
        return iter(self.cluster or ())

    # -- nodes -------------------------------------------------------------------------------------

    def start(self, *names, wait=True, timeout=60):
        for name in names:
            self[name].start(env=self.test.env, wait=False)
        for name in names if wait else ():
            self[name].wait_ready(timeout * self.slow)
            if self.oracle:
                self.ctl(name, "await_startup")

    def power_off(self, *names):
        """kill -9 of all at once, before any of them can see that another is gone."""
        for name in names:
            self[name].signal(9)
        for name in names:
            self[name].wait_gone()

    def ctl(self, name, *words, code=0, tool="rabbitmqctl", timeout=60, env=None, stdin=None):
        """A command on a host; `code` is the exit code it must have (None: any)."""
        more = {"input": stdin} if stdin is not None else {}
        done = self[name].run(tool, *words, timeout=timeout * self.slow, env=env, **more)
        done.stdout, done.stderr = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in (done.stdout, done.stderr))
        if code is not None and done.returncode != code:
            raise AssertionError(f"[{name}] {tool} {' '.join(map(str, words))}: exit {done.returncode}, wanted "
                                 f"{code}\n{said(done.stdout + done.stderr)}")
        done.text = done.stdout + done.stderr
        return done

    def shell(self, name, line, code=0, timeout=60):
        """A line typed into a shell of the host; its output, both streams."""
        done = self[name].run("bash", "-c", f"exec 2>&1; {line}", timeout=timeout * self.slow)
        text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
        if code is not None and done.returncode != code:
            raise AssertionError(f"[{name}]# {line}: exit {done.returncode}, wanted {code}\n{text[-1500:]}")
        return text

    def join(self, name, to, ram=False):
        """stop_app, join_cluster, start_app, as they are typed."""
        self.ctl(name, "stop_app")
        self.ctl(name, "join_cluster", *(["--ram"] if ram else []), self[to].node)
        self.ctl(name, "start_app")

    # -- asking ------------------------------------------------------------------------------------

    def status(self, name, code=0):
        """cluster_status as JSON."""
        out = self.ctl(name, "cluster_status", "--formatter", "json", code=code).stdout
        return json.loads(out[out.index("{"):])

    def rows(self, name, command, *columns, options=()):
        """A list_* command as a list of dicts."""
        out = self.ctl(name, "--silent", "--formatter", "json", command, *options, *columns).stdout
        return json.loads(out[out.index("["):]) if "[" in out else []

    def running(self, name):
        """The short names of the members that this node sees running."""
        return {node.split("@")[1] for node in self.status(name)["running_nodes"]}

    def members(self, name):
        status = self.status(name)
        return {node.split("@")[1] for node in status["disk_nodes"] + status.get("ram_nodes", [])}

    def until_running(self, asked, wanted, timeout=15):
        """Every asked node sees exactly these running."""
        for name in asked:
            until(lambda n=name: self.running(n) == set(wanted), f"{name} sees {wanted} running",
                  timeout * self.slow, last=lambda n=name: self.running(n))

    # -- clients -----------------------------------------------------------------------------------

    def connect(self, name, **parameters):
        """A Pika connection to the node of that host, from the host itself."""
        parameters = {"socket_timeout": 5, "blocked_connection_timeout": 30, "heartbeat": 0, **parameters}
        with self[name].network():
            link = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", 5672, **parameters))
        self._open.append(link)
        return link

    def channel(self, name, confirm=False, **parameters):
        """A channel on a connection of its own."""
        channel = self.connect(name, **parameters).channel()
        if confirm:
            channel.confirm_delivery()
        return channel

    def drain(self, name, queue, settle=0.0):
        """Gets everything out of the queue; with `settle` only after that long without a message."""
        channel, found, quiet = self.channel(name), [], None
        while True:
            method, _, body = channel.basic_get(queue, auto_ack=True)
            if method is not None:
                found.append(body.decode())
                quiet = None
                continue
            quiet = quiet or time.monotonic()
            if time.monotonic() - quiet >= settle:
                channel.connection.close()
                return found
            time.sleep(0.02)

    # -- faults ------------------------------------------------------------------------------------

    def cut(self, first, *others, one_way=False):
        faults.cut(self.cluster, first, others, one_way)

    def split(self, *groups):
        faults.split(self.cluster, *groups)

    def heal(self):
        faults.heal(self.cluster)

    def lose(self, percent, *names):
        faults.lose(self.cluster, percent, names)

    def rate(self, kbytes, *names):
        faults.slow(self.cluster, kbytes, names)

    def delay(self, ms, *names):
        faults.delay(self.cluster, ms, names)


def end_all():
    """Ends what is left of all beds."""
    with _lock:
        left = list(_beds)
    for name in left:
        with contextlib.suppress(Exception):
            hosts.destroy(name)


def said(text):
    """A tool's words for a failure's text: of the block about an unreachable node only the reason."""
    reasons = re.findall(r"^ +\* reason: (.*)", text, re.M)
    return f"{text[:300].splitlines()[0]} ... {reasons}" if reasons else text[-900:]


# -- waiting and checking ------------------------------------------------------------------------------


def until(probe, what, timeout=10.0, pause=0.05, last=None):
    """Polls until `probe()` is true and returns its value; an AssertionError at the deadline.

    A probe that raises is not true yet; the last error is told at the deadline.
    """
    deadline, error = time.monotonic() + timeout, ""
    while True:
        try:
            value, error = probe(), ""
        except Exception as why:  # asked too early
            value, error = None, f" ({type(why).__name__}: {str(why)[:400]})"
        if value:
            return value
        if time.monotonic() > deadline:
            seen = ""
            if last:
                with contextlib.suppress(Exception):
                    seen = f" (last: {last()!r})"
            raise AssertionError(f"not within {timeout:.0f} s: {what}{seen}{error}")
        time.sleep(pause)


def eq(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, wanted {wanted!r}")


def check(truth, *what):
    if not truth:
        raise AssertionError(" ".join(map(str, what)))


def shows(text, *patterns):
    """Each pattern is found in the text, line by line."""
    for pattern in patterns:
        if not re.search(pattern, text, re.M):
            raise AssertionError(f"no {pattern!r} in:\n{text[-1500:]}")
    return text


@contextlib.contextmanager
def within(seconds, what):
    """The block must be over in time; measured on this busy machine, so goals stand in its callers."""
    begin = time.monotonic()
    yield
    took = time.monotonic() - begin
    if took > seconds:
        raise AssertionError(f"{what} took {took:.2f} s, wanted {seconds} s")


@contextlib.contextmanager
def closes(code, text="", kind=None):
    """The block must end in a channel or connection closed by the broker with this code and text."""
    kinds = kind or (pika.exceptions.ChannelClosedByBroker, pika.exceptions.ConnectionClosedByBroker)
    try:
        yield
    except kinds as why:
        eq(why.reply_code, code, f"reply code of {why}")
        if not re.search(text, why.reply_text):
            raise AssertionError(f"reply text {why.reply_text!r} has no {text!r}") from None
    else:
        raise AssertionError(f"nothing was closed; wanted {code} {text}")

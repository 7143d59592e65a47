"""Starts, stops and asks one broker node: Warren, or RabbitMQ as the oracle.

A node lives in its own folder with its own ports, cookie, config and logs, so any number can run
side by side.  Both brokers are started through the same environment variables.
"""

import base64
import collections
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import amqp_wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORACLE_BIN = pathlib.Path("/usr/lib/rabbitmq/bin")
Done = collections.namedtuple("Done", "rc out err")


_given = set()


def free_port():
    """A port that was free a moment ago, below the ephemeral range, never given twice."""
    while True:
        port = random.randrange(15000, 31000)
        if port in _given:
            continue
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


class Node:
    """One broker process in `folder`; `config` is rabbitmq.conf text, `plugins` a list."""

    def __init__(self, kind, name, base, config="", plugins=(), env=None, bin_dir=None,
                 address="127.0.0.1", advanced=None, epmd_port=None, logs_env=True):
        self.kind, self.folder = kind, pathlib.Path(base) / name
        self.folder.mkdir(parents=True, exist_ok=True)
        # Two runs on one host must not meet: node names are known to the whole host.
        tag = hashlib.sha1(str(base).encode()).hexdigest()[:6]
        self.name = f"{name}-{tag}@localhost"
        self.port, self.dist_port, self.http_port = free_port(), free_port(), free_port()
        self.bin = pathlib.Path(bin_dir) if bin_dir else (
            ORACLE_BIN if kind == "oracle" else ROOT / "build" / "bin")
        self.process, self.log = None, self.folder / "node.log"
        self.config_path = self.folder / "rabbitmq.conf"
        self.plugins_path = self.folder / "enabled_plugins"
        config = f"management.tcp.port = {self.http_port}\n" \
                 "management.tcp.ip = 127.0.0.1\n" + config if "management" in str(plugins) \
            else config
        self.config_path.write_text(config)
        self.plugins_path.write_text(f"[{','.join(plugins)}].\n")
        self.env = {**os.environ, "HOME": str(self.folder),
                    "RABBITMQ_NODENAME": self.name, "RABBITMQ_NODE_PORT": str(self.port),
                    "RABBITMQ_NODE_IP_ADDRESS": address,
                    "RABBITMQ_DIST_PORT": str(self.dist_port),
                    "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
                    "RABBITMQ_LOG_BASE": str(self.folder / "log"),
                    "RABBITMQ_LOGS": str(self.log),
                    "RABBITMQ_CONFIG_FILE": str(self.config_path),
                    "RABBITMQ_CONF_ENV_FILE": str(self.folder / "rabbitmq-env.conf"),
                    "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.plugins_path), **(env or {})}
        if not logs_env:  # RABBITMQ_LOGS silences the other log outputs of rabbitmq.conf
            del self.env["RABBITMQ_LOGS"]
            self.log = self.folder / "log" / f"{self.name}.log"
        (self.folder / "rabbitmq-env.conf").write_text("")
        if advanced:
            path = self.folder / "advanced.config"
            path.write_text(advanced)
            self.env["RABBITMQ_ADVANCED_CONFIG_FILE"] = str(path)
        if kind == "oracle":
            cookie = self.folder / ".erlang.cookie"
            if not cookie.exists():
                cookie.write_text("CONFORMANCECOOKIE")
                cookie.chmod(0o400)
            self.env["ERL_EPMD_PORT"] = str(epmd_port or 4369)

    # -- life ----------------------------------------------------------------------------------

    def start(self, timeout=90, wait=True):
        """Starts the process and waits until it answers AMQP."""
        out = open(self.folder / "stdout", "ab")
        self.process = subprocess.Popen([str(self.bin / "rabbitmq-server")], env=self.env,
                                        stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                        cwd=self.folder, start_new_session=True)
        if wait:
            try:
                self.wait_ready(timeout)
            except Exception:
                self.stop()
                raise
        return self

    def wait_ready(self, timeout=90):
        deadline = time.monotonic() + timeout
        while not self.answers():
            if self.process and self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}: "
                                   + self.tail())
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not answer in {timeout} s: " + self.tail())
            time.sleep(0.05)

    def answers(self):
        try:
            wire = amqp_wire.Connection("127.0.0.1", self.port, timeout=2)
        except OSError:
            return False
        try:
            return wire.start().name == "connection.start"
        except (OSError, amqp_wire.WireError):
            return False
        finally:
            wire.shut()

    def tail(self, size=1500):
        text = ""
        for path in (self.folder / "stdout", self.log):
            if path.exists():
                text += path.read_text(errors="replace")[-size:]
        return text

    def died(self):
        """True when the process ended by itself; says so once per crash in `folder`/stdout."""
        return self.process is not None and self.process.poll() is not None

    def kill9(self):
        """Kills the whole process group at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)
        self.process = None

    def stop(self):
        """Ends the node, politely first."""
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(5)
        self.process = None

    # -- tools ---------------------------------------------------------------------------------

    def ctl(self, *args, tool="rabbitmqctl", check=True, stdin=None, timeout=60, env=None):
        """Runs a command-line tool against this node; check=True demands exit code 0."""
        done = subprocess.run([str(self.bin / tool), "-n", self.name, *map(str, args)],
                              env={**self.env, **(env or {})}, capture_output=True, text=True,
                              timeout=timeout, input=stdin, cwd=self.folder)
        if check and done.returncode != 0:
            raise AssertionError(f"{tool} {' '.join(map(str, args))}: exit {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}")
        return Done(done.returncode, done.stdout, done.stderr)

    def http(self, method, path, body=None, user="guest", password="guest"):
        """One request to the management API; returns (status, decoded JSON or text)."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}",
                                         method=method)
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("authorization", "Basic " + token)
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(request, data, timeout=20) as response:
                status, raw = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, raw = error.code, error.read()
        try:
            return status, json.loads(raw) if raw else None
        except ValueError:
            return status, raw.decode(errors="replace")

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def workplace(keep=None):
    """A folder for a run; a kept one is given by name."""
    if keep:
        pathlib.Path(keep).mkdir(parents=True, exist_ok=True)
        return pathlib.Path(keep)
    return pathlib.Path(tempfile.mkdtemp(prefix="warren-conformance-"))


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)

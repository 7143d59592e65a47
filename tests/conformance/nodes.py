"""The nodes of a run: one configuration per group name, started when first needed."""

import json
import os
import subprocess
import threading

import node as node_mod
import tokens

MANAGED = ("rabbitmq_management", "rabbitmq_event_exchange",
           "rabbitmq_consistent_hash_exchange")

# What a group's node is started with: config text, plugins, environment, listen address.
GROUPS = {
    "main": dict(plugins=MANAGED),
    "alarm": dict(),
    "short": dict(config="handshake_timeout = 1500\nchannel_max = 20\nmax_message_size = 5000\n"
                         "consumer_timeout = 1000\nlog.exchange = true\n"
                         "credential_validator.validation_backend = "
                         "rabbit_credential_validator_min_password_length\n"
                         "credential_validator.min_length = 4\n",
                  logs_env=False,
                  oracle_advanced="[{rabbit,[{channel_tick_interval,300}]}].\n"),
    "conns": dict(config="connection_max = 3\nconsumer_max_per_channel = 2\n"),
    "advanced": dict(advanced="[{rabbit,[{default_consumer_prefetch,{false,3}}]}].\n"),
    "tokens": dict(config=lambda folder: tokens.Issuer(folder).config(),
                   plugins=("rabbitmq_management", "rabbitmq_auth_backend_oauth2")),
    "own": None,
}


class Nodes:
    """Starts nodes lazily and ends every one that it started."""

    def __init__(self, kind, folder, keep=False, bin_dir=None):
        self.kind, self.folder, self.keep, self.bin_dir = kind, folder, keep, bin_dir
        self.running, self.lock, self.locks = {}, threading.Lock(), {}
        self.extra = []
        self.epmd_port = None
        if kind == "oracle":
            state = folder / "epmd_port"
            if state.exists():
                self.epmd_port = int(state.read_text())
            else:
                self.epmd_port = node_mod.free_port()
                state.write_text(str(self.epmd_port))
            subprocess.run(["epmd", "-daemon", "-port", str(self.epmd_port)], check=True)

    def make(self, name, **kw):
        """A node that is not started yet, in a new folder; stopped at the end of the run."""
        node_mod.remove(self.folder / name)
        special = kw.pop("oracle_advanced", None)
        if callable(kw.get("config")):
            kw["config"] = kw["config"](self.folder)
        if special and self.kind == "oracle":
            kw["advanced"] = special
        made = node_mod.Node(self.kind, name, self.folder, bin_dir=self.bin_dir,
                             epmd_port=self.epmd_port, **kw)
        with self.lock:
            self.extra.append(made)
        return made

    def get(self, group):
        """The running node of a group, or None for tests that start their own."""
        if GROUPS.get(group, 0) is None:
            return None
        with self.lock:
            lock = self.locks.setdefault(group, threading.Lock())
        with lock:
            node = self.running.get(group)
            if isinstance(node, node_mod.Node) and node.died():
                node.start()  # one crash should not hide what the other tests have to say
            if group not in self.running:
                try:
                    self.running[group] = self._kept(group) or self.make(
                        group, **GROUPS[group]).start()
                    self._remember(group)
                except Exception as error:
                    self.running[group] = error
            if isinstance(self.running[group], Exception):
                raise RuntimeError(f"node of group {group}: {self.running[group]}")
            return self.running[group]

    def _remember(self, group):
        if self.keep:
            n = self.running[group]
            (self.folder / f"{group}.json").write_text(json.dumps(
                [n.port, n.dist_port, n.http_port, n.process.pid if n.process else 0]))

    def _kept(self, group):
        """A node that an earlier run with --keep left running."""
        state = self.folder / f"{group}.json"
        if not self.keep or not state.exists():
            return None
        settings = {k: v for k, v in GROUPS[group].items() if k != "oracle_advanced"}
        if callable(settings.get("config")):
            settings["config"] = settings["config"](self.folder)
        old = node_mod.Node(self.kind, group, self.folder, bin_dir=self.bin_dir,
                            epmd_port=self.epmd_port, **settings)
        old.port, old.dist_port, old.http_port, old_pid = json.loads(state.read_text())
        old.env["RABBITMQ_NODE_PORT"], old.env["RABBITMQ_DIST_PORT"] = \
            str(old.port), str(old.dist_port)
        if not old.answers():
            return None
        text = (f"management.tcp.port = {old.http_port}\nmanagement.tcp.ip = 127.0.0.1\n"
                if "management" in str(GROUPS[group].get("plugins")) else "")
        old.config_path.write_text(text + settings.get("config", ""))
        return old

    def stop(self, hard=False):
        """Stops everything that this run started; kept groups stay."""
        kept = {id(n) for n in self.running.values()} if self.keep else set()
        for made in self.extra:
            if id(made) not in kept:
                (made.kill9 if hard and made.process else made.stop)()
        if self.kind == "oracle" and not self.keep:
            subprocess.run(["epmd", "-port", str(self.epmd_port), "-kill"], check=False,
                           capture_output=True, env={**os.environ,
                                                     "ERL_EPMD_RELAXED_COMMAND_CHECK": "1"})

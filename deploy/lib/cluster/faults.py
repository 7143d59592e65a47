"""Faults of the network between hosts: cuts, loss, delay, slow cables. All is stored in the cluster's state.

A cut or a loss is a rule at the receiving host's door (nftables, input hook): packets vanish, as with
a pulled cable; nobody is told. A delay is netem where the kernel has it, else a small relay
(relay.py) through which the host's packets leave. Owner: deploy/cluster and tests/cluster.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

import hosts

RELAY = pathlib.Path(__file__).parent / "relay.py"


def rules(cluster, state, host):
    """The whole nftables text of one host."""
    lines = [f"ip saddr {cluster[source].address} drop"
             for source, target in sorted(map(tuple, state["cuts"])) if target == host.name]
    rate = state.get("rate", {}).get(host.name, 0)
    if rate:
        lines.append(f'iifname "eth0" limit rate over {rate} kbytes/second burst {max(rate // 4, 16)} kbytes drop')
    percent = state["loss"].get(host.name, 0)
    if percent:
        lines.append(f'iifname "eth0" numgen random mod 10000 < {round(percent * 100)} drop')
    body = "".join(f"    {line}\n" for line in lines)
    return ("table inet warren { }\ndelete table inet warren\n" +
            (f"table inet warren {{\n  chain in {{\n    type filter hook input priority 0;\n{body}  }}\n}}\n"
             if lines else ""))


def apply(cluster, state):
    """Writes every host's rules anew; each host's change is atomic."""
    for host in cluster:
        if not host.alive():
            continue
        done = subprocess.run(host.inside("nft", "-f", "-"), input=rules(cluster, state, host), text=True,
                              capture_output=True)
        if done.returncode != 0:
            raise hosts.ClusterError(f"{host.name}: nft refused the rules: {done.stderr.strip()}")


def pairs(cluster, first, second, one_way):
    """The directed pairs that a cut between two hosts, or around one, is made of."""
    others = [cluster[name] for name in second] if second else [h for h in cluster if h.name != first]
    found = {(cluster[first].name, other.name) for other in others}
    return found if one_way else found | {(b, a) for a, b in found}


def cut(cluster, first, second=(), one_way=False):
    """Cuts `first` off from `second` (all others when empty); one-way: only what `first` sends."""
    wanted = pairs(cluster, first, second, one_way)
    if not wanted or any(a == b for a, b in wanted):
        raise hosts.ClusterError("a host cannot be cut off from itself")
    with cluster.faults() as state:
        state["cuts"] = sorted({tuple(pair) for pair in state["cuts"]} | wanted)
        apply(cluster, state)


def split(cluster, *groups):
    """Cuts every connection between the groups, e.g. (("n1", "n2"), ("n3",))."""
    with cluster.faults() as state:
        new = {(a, b) for mine in groups for other in groups if mine is not other
               for a in mine for b in other}
        state["cuts"] = sorted({tuple(pair) for pair in state["cuts"]} | new)
        apply(cluster, state)


def heal(cluster, first=None, second=()):
    """Ends cuts: all of them, those around one host, or those between two."""
    with cluster.faults() as state:
        gone = pairs(cluster, first, second, False) if first else None
        state["cuts"] = [] if gone is None else [p for p in state["cuts"] if tuple(p) not in gone]
        apply(cluster, state)


def lose(cluster, percent, names=()):
    """Loses this share of the packets that arrive at the hosts (all when none is named)."""
    if not 0 <= percent <= 100:
        raise hosts.ClusterError("loss is a percentage from 0 to 100")
    with cluster.faults() as state:
        for host in [cluster[name] for name in names] or cluster:
            state["loss"][host.name] = percent
        state["loss"] = {name: value for name, value in state["loss"].items() if value}
        apply(cluster, state)


def slow(cluster, kbytes, names=()):
    """Lets only so many kilobytes a second reach the hosts (all when none is named); the rest is lost, and TCP
    slows down to it. 0 ends it."""
    if not 0 <= kbytes <= 1000000 or kbytes != int(kbytes):
        raise hosts.ClusterError("a rate is in whole kilobytes a second, from 0 to 1000000")
    with cluster.faults() as state:
        rates = state.setdefault("rate", {})
        for host in [cluster[name] for name in names] or cluster:
            rates[host.name] = int(kbytes)
        state["rate"] = {name: value for name, value in rates.items() if value}
        apply(cluster, state)


# -- delay ---------------------------------------------------------------------------------------------


def end_relay(host):
    """Ends the host's relay; its packets take the direct way again."""
    for pid, words in host.processes().items():
        if str(RELAY) in words:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + 10
            while hosts.start_time(pid) is not None:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.01)


def start_relay(host, ms):
    host.spawn(sys.executable, str(RELAY), str(ms), log="relay.log")
    deadline = time.monotonic() + 10
    while "delay0" not in host.run("ip", "route").stdout:
        if time.monotonic() > deadline:
            raise hosts.ClusterError(f"{host.name}: this kernel has no netem, and the relay could not start "
                                     f"instead (it needs /dev/net/tun):\n{host.tail(600)}")
        time.sleep(0.02)


def delay(cluster, ms, names=()):
    """Delays what the hosts send (all when none is named); the way there and back takes twice that."""
    if not 0 <= ms <= 60000:
        raise hosts.ClusterError("delay is in milliseconds, from 0 to 60000")
    with cluster.faults() as state:
        for host in [cluster[name] for name in names] or cluster:
            end_relay(host)
            host.run("tc", "qdisc", "del", "dev", "eth0", "root")
            if ms and host.run("tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay",
                               f"{ms:g}ms", "limit", "100000").returncode != 0:
                start_relay(host, ms)
            state["delay"][host.name] = ms
        state["delay"] = {name: value for name, value in state["delay"].items() if value}

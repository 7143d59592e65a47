"""deploy/cluster itself, as a person types it."""

import os
import signal
import subprocess
import time

import harness
from harness import case, check, eq, hosts, shows, until

PROGRAM = str(harness.TOP / "deploy" / "cluster")
NOTHING = {"count": 0, "start": False, "oracle": False}


class Typed:
    """A cluster of a name of its own, by command lines only."""

    def __init__(self, bed):
        self.name, self.bin = f"c{bed.name}", bed.bin
        bed.on_end(lambda: hosts.destroy(self.name))

    def __call__(self, *words, code=0):
        done = subprocess.run([PROGRAM, *words[:1], "--cluster", self.name, *words[1:]], capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=90)
        text = done.stdout + done.stderr
        check(done.returncode == code, f"{' '.join(words)}: exit {done.returncode}, wanted {code}\n{text}")
        return text

    def up(self, *words, code=0):
        return self("up", *words, "--bin", self.bin, code=code)


@case(**NOTHING, weight=8)
def test_command_from_up_to_down(bed):
    cluster = Typed(bed)
    shows(cluster.up("2", "--apart"), "^== n2: rabbit@n2 answers", "^== up. Next: ")
    shows(cluster.up("2", "--apart", code=1), "is up already")
    shows(cluster("status"), r"^n1 +10\.77\.0\.1 +running$", r"^n2 +10\.77\.0\.2 +running$")
    shows(cluster("run", "n1", "--", "rabbitmqctl", "-n", "rabbit@n2", "ping"), "Ping succeeded")
    eq(cluster("run", "n2", "--", "hostname").strip(), "n2")
    cluster("run", "n2", "--", "false", code=1)
    connects = ("run", "n1", "--", "timeout", "0.5", "bash", "-c", ": > /dev/tcp/n2/5672")
    cluster(*connects)
    shows(cluster("cut", "n1", "n2", "--one-way"), "^cut: n1 -> n2$")
    cluster(*connects, code=124)
    shows(cluster("cut", "n1"), "^cut: n1 <-> n2$")
    check("cut" not in cluster("heal", "n1", "n2"), "a cut is left")
    cluster(*connects)
    shows(cluster("loss", "12.5", "n2"), "^n2 .*loss 12.5 %$")
    shows(cluster("heal"), "running$")
    shows(cluster("pause", "n2"), "n2: paused")
    shows(cluster("status"), "^n2 .*paused$")
    cluster("resume", "n2")
    shows(cluster("kill", "n2"), "n2: killed")
    shows(cluster("kill", "n2"), "nothing was running")
    shows(cluster("start"), "n2: running")
    shows(cluster("stop", "n1"), "n1: stopped")
    shows(cluster("kill", "n9", code=1), "there is no host n9; there are n1, n2")
    shows(cluster("down"), "is down$")
    shows(cluster("down"), "there was no cluster")
    shows(cluster("status", code=1), "no cluster `")
    check(not (hosts.BASE / cluster.name).exists(), "files are left")


@case(**NOTHING, table={"refused": None})
def test_command_refuses_nonsense(bed, _):
    cluster = Typed(bed)
    shows(cluster.up("2", "--names", "a,b,c", code=1), "2 hosts, but 3 names")
    shows(cluster.up("--names", "a,a", code=1), "occurs twice")
    shows(cluster.up("--names", "a b", code=1), "no host name")
    shows(cluster.up("2", "--ram", "n7", code=1), "--ram names no host: n7")
    shows(cluster.up("2", "--ram", "n1", code=1), "needs one with a disc")
    check(not (hosts.BASE / cluster.name).exists(), "files are left")


@case(**NOTHING)
def test_command_delay(bed):
    """40 ms there, nothing back: a connection takes 40 ms and little more; heal ends it."""
    cluster = Typed(bed)
    cluster.up("2", "--no-start")
    made = hosts.find(cluster.name)
    made["n2"].spawn("/usr/bin/python3", "-m", "http.server", "8000")
    until(lambda: made["n2"].answers(8000), "a server on n2")

    def connect():
        begin = time.monotonic()
        with made["n1"].network(), harness.hosts.socket.create_connection(("10.77.0.2", 8000), timeout=5):
            return time.monotonic() - begin
    check(connect() < 0.035, "slow before the delay")
    shows(cluster("delay", "40", "n1"), "^n1 .*delay 40 ms$")
    check(connect() >= 0.04, "not delayed")
    cluster("heal")
    check(min(connect() for _ in range(5)) < 0.035, "still delayed")


@case(**NOTHING, table={"keeper killed": True, "tied process ended": False})
def test_command_nothing_outlives_the_keeper(bed, killed):
    """kill -9 of the keeper, or the end of the process a cluster is tied to, ends all that runs in it."""
    cluster = Typed(bed)
    tied = subprocess.Popen(["sleep", "600"])
    cluster.up("2", "--apart", "--while", str(tied.pid))
    made = hosts.find(cluster.name)
    running = [pid for host in made for pid in host.servers()] + [host.pid for host in made]
    check(len(running) >= 4, running)
    if killed:
        os.kill(made.keeper, signal.SIGKILL)
    tied.kill()
    tied.wait()
    until(lambda: all(hosts.start_time(pid) is None for pid in running), "the end of all processes", 10)
    until(lambda: killed or not made.folder.exists(), "the end of its files", 10)
    eq(hosts.find(cluster.name), None)


@case(**NOTHING)
def test_command_full_disc(bed):
    cluster = Typed(bed)
    cluster.up("1", "--apart", "--disc", "64")
    shows(cluster("fill", "n1"), "100%")
    cluster("fill", "n1", "--undo")
    cluster("run", "n1", "--", "sh", "-c", "test $(df --output=pcent /var/lib/rabbitmq | tail -1 | tr -d ' %') -lt 90")

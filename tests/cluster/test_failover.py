"""A real client that knows several hosts, beside Pika: the Go client goes to the next one (CLU-19, C.3)."""

import os
import shutil
import signal
import subprocess
import threading
import types

from harness import TOP, Skip, case, check, until
from traffic import drained, nothing_lost

SOURCE = TOP / "tests" / "cluster" / "go" / "failover.go"
PROGRAM = TOP / "build" / "cluster-clients" / "failover"
_lock = threading.Lock()


def built():
    """The program, built when its source is newer. Debian keeps Go libraries below one GOPATH."""
    if shutil.which("go") is None:
        raise Skip("no Go compiler")
    with _lock:
        if not PROGRAM.exists() or PROGRAM.stat().st_mtime < SOURCE.stat().st_mtime:
            PROGRAM.parent.mkdir(parents=True, exist_ok=True)
            env = {**os.environ, "GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": "-p=2"}
            done = subprocess.run(["go", "build", "-o", str(PROGRAM), str(SOURCE)], env=env, text=True,
                                  capture_output=True, timeout=300)
            check(done.returncode == 0, "go build:", done.stderr[-1500:])
    return PROGRAM


class GoPublisher:
    """The program on a host, which it does not leave when the host's node dies; what it said so far."""

    def __init__(self, bed, host, queue, targets):
        self.host = bed[host]
        self.host.spawn(str(built()), queue, *(f"amqp://kevin:kevin@{name}:5672/" for name in targets), log="go.log")
        bed.on_end(self.end)

    def lines(self):
        return (self.host.log / "go.log").read_text(errors="replace").splitlines()

    def said(self, word):
        return [line.split(" ", 1)[1] for line in self.lines() if line.startswith(word + " ")]

    def wait_more(self, count, timeout=40):
        goal = len(self.said("confirmed")) + count
        until(lambda: len(self.said("confirmed")) >= goal, f"{count} further confirms", timeout,
              last=lambda: self.lines()[-6:])

    def end(self):
        for pid, words in self.host.processes().items():
            if words and words[0] == str(PROGRAM):
                os.kill(pid, signal.SIGTERM)
        until(lambda: self.lines()[-1:] == ["stopped"], "the program ends", 10, last=lambda: self.lines()[-3:])


@case(3, weight=15, oracle=False)
def test_CLU_19_go_client_goes_to_the_next_host(bed):
    """kill -9 of its node, then of the queue's: it goes on elsewhere, and nothing confirmed is lost."""
    built()
    bed.ctl("n1", "add_user", "kevin", "kevin")
    bed.ctl("n1", "set_permissions", "-p", "/", "kevin", ".*", ".*", ".*")
    bed.channel("n2").queue_declare("work", durable=True)
    publisher = GoPublisher(bed, "n1", "work", ("n1", "n2", "n3"))
    publisher.wait_more(200)
    bed["n1"].kill()
    publisher.wait_more(200)
    check(publisher.said("connected")[-1] == "n2", "it is connected to", publisher.said("connected"))
    bed.start("n1")
    bed["n2"].kill()
    until(lambda: publisher.said("connected")[-1] == "n3", "it goes on to n3", 20,
          last=lambda: publisher.said("connected"))
    bed.start("n2")
    publisher.wait_more(200)
    publisher.end()
    ledger = types.SimpleNamespace(name="go", queue="work",
                                   confirmed=[int(number) for number in publisher.said("confirmed")])
    nothing_lost([ledger], drained(bed, "n3"))

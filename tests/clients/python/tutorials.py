"""Programs as a newcomer writes them (tutorial/), each a process of its own, as two shells run them.

They connect to the standard port of localhost; a sitecustomize points that at the suite's node.
"""

import os
import pathlib
import signal
import subprocess
import time

from report import case, check, end, equal

HERE = pathlib.Path(__file__).resolve().parent / "tutorial"
DESK = pathlib.Path(os.environ["TUTORIAL_DESK"])
RUNNING = []


def begin(name, program, *arguments):
    """Starts a program that goes on, and waits until it is ready; gives what it prints so far."""
    log = DESK / f"{name}.out"
    process = subprocess.Popen(["/usr/bin/python3", HERE / program, *arguments],
                               stdout=open(log, "w"), stderr=subprocess.STDOUT,
                               start_new_session=True)
    RUNNING.append(process)
    wait_lines(log, lambda lines: "ready" in lines)
    return process, log


def lines_of(log):
    return log.read_text().splitlines()


def wait_lines(log, enough, seconds=20):
    until = time.monotonic() + seconds
    while not enough(lines_of(log)):
        check(time.monotonic() < until, "only", lines_of(log))
        time.sleep(0.05)
    return lines_of(log)


def run(program, *arguments):
    done = subprocess.run(["/usr/bin/python3", HERE / program, *arguments], capture_output=True,
                          text=True, timeout=30)
    equal(done.returncode, 0, program + done.stderr[-300:])
    return done.stdout


def work_queue():
    """S6 to S8: the idle worker gets the next task, the killed worker's task goes to the other."""
    first, first_log = begin("worker1", "worker.py")
    run("new_task.py", "long" + "." * 50)
    wait_lines(first_log, lambda lines: len(lines) == 2)
    _, second_log = begin("worker2", "worker.py")
    run("new_task.py", "a.", "b.", "c.")
    lines = wait_lines(second_log, lambda lines: "done c." in lines)
    equal([line for line in lines if line.startswith("done")], ["done a.", "done b.", "done c."],
          "fair dispatch")
    os.killpg(first.pid, signal.SIGKILL)
    wait_lines(second_log, lambda lines: lines[-1].startswith("begun long") and
               lines[-1].endswith("True"))


def publish_subscribe():
    """S9 and S10: both get all that is sent while they listen."""
    run("emit.py", "tutorial_logs", "fanout", "nobody listens")
    logs = [begin(f"fan{number}", "receive_logs.py", "tutorial_logs", "fanout", "")[1]
            for number in range(2)]
    run("emit.py", "tutorial_logs", "fanout", "x", "y")
    for log in logs:
        equal(wait_lines(log, lambda lines: len(lines) == 3), ["ready", "x about x", "y about y"],
              "fanout")


def routing():
    """S11: one queue with two bindings, one with one."""
    _, both = begin("direct2", "receive_logs.py", "tutorial_direct", "direct", "error", "info")
    _, one = begin("direct1", "receive_logs.py", "tutorial_direct", "direct", "error")
    run("emit.py", "tutorial_direct", "direct", "info", "debug", "error")
    equal(wait_lines(both, lambda lines: len(lines) == 3)[1:],
          ["info about info", "error about error"], "two bindings")
    equal(wait_lines(one, lambda lines: len(lines) == 2)[1:], ["error about error"], "one binding")


def topics():
    """S12."""
    _, log = begin("topics", "receive_logs.py", "tutorial_topics", "topic", "*.critical", "kern.#")
    run("emit.py", "tutorial_topics", "topic", "kern.critical", "app.info", "app.critical", "kern",
        "kern.a.b")
    equal([line.split()[0] for line in wait_lines(log, lambda lines: len(lines) == 5)[1:]],
          ["kern.critical", "app.critical", "kern", "kern.a.b"], "topics")


def remote_procedure_call():
    """S13, with a reply queue of its own."""
    begin("rpc", "rpc_server.py")
    equal(run("rpc_client.py", "15"), "610\n", "fib(15)")


try:
    (DESK / "sitecustomize.py").write_text(
        "import pika.connection\n"
        f"pika.connection.Parameters.DEFAULT_PORT = {os.environ['AMQP_PORT']}\n")
    os.environ["PYTHONPATH"] = str(DESK)
    for function in (work_queue, publish_subscribe, routing, topics, remote_procedure_call):
        case(function.__name__, function)
finally:
    for process in RUNNING:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
end()

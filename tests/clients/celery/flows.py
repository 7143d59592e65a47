"""Celery with its own workers: tasks, retries, a chord, and a worker that is killed at work.

The workers are processes of their own, as `celery worker` starts them.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]
from report import case, check, end, equal  # noqa: E402

import jobs  # noqa: E402
from celery import chain, chord, group  # noqa: E402

MARKS = pathlib.Path(os.environ["JOBS_MARKS"])
WORKERS = []


def start_worker(name, *more):
    log = open(MARKS / f"{name}.log", "ab")
    WORKERS.append(subprocess.Popen(
        ["/usr/bin/python3", "-m", "celery", "-A", "jobs", "worker", "-n", f"{name}@test", "-l",
         "info", "--without-gossip", "--without-mingle", *more],
        cwd=HERE, stdout=log, stderr=log, start_new_session=True))
    return WORKERS[-1]


def wait(truth, what, seconds=40):
    until = time.monotonic() + seconds
    while not truth():
        check(time.monotonic() < until, what)
        time.sleep(0.05)


def tasks():
    results = [jobs.add.delay(number, 1) for number in range(15)]
    equal([result.get(timeout=40) for result in results], list(range(1, 16)), "results")
    equal(chain(jobs.add.s(1, 2), jobs.add.s(4), jobs.add.s(8))().get(timeout=20), 15, "chain")
    equal(group(jobs.add.s(n, n) for n in range(5))().get(timeout=20), [0, 2, 4, 6, 8], "group")
    try:
        jobs.broken.delay().get(timeout=20)
        raise AssertionError("an error was lost")
    except ValueError as why:
        equal(str(why), "as wanted", "error")


def retries():
    """A retry with a countdown is published anew with an eta and held by the worker."""
    equal(jobs.stubborn.delay(3).get(timeout=30), 3, "attempts before")


def chord_of_results():
    """Results are in files here: Celery refuses a chord whose results are in rpc://."""
    equal(chord([jobs.add.s(n, 1) for n in range(10)])(jobs.total.s()).get(timeout=40), 55, "total")


def worker_killed():
    """A worker dies by SIGKILL in the middle of a late-acknowledged task: another one gets it."""
    mark = MARKS / "killed"
    first = start_worker("first", "-Q", "celery.slow", "-c", "1")
    result = jobs.slow.apply_async(("killed",), queue="celery.slow")
    wait(mark.exists, "the task has not begun")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    start_worker("second", "-Q", "celery.slow", "-c", "1")
    wait(lambda: mark.read_text().count("begun") == 2, "the task has not come back")
    (MARKS / "killed.go").touch()
    equal(result.get(timeout=20), "killed", "result")
    lines = mark.read_text().splitlines()
    equal([line.split()[0] for line in lines], ["begun", "begun", "done"], "what happened")
    equal([line.split()[2] for line in lines[:2]], ["False", "True"], "redelivered")


def remote_control():
    """Inspection goes through a fanout exchange and a reply queue that Celery makes by itself."""
    answers = jobs.app.control.ping(timeout=10, limit=1)
    check(answers and list(answers[0].values()) == [{"ok": "pong"}], answers)


try:
    start_worker(os.environ["JOBS_QUEUE"], "-c", "2", "-Q", os.environ["JOBS_QUEUE"])
    chosen = (tasks, retries, worker_killed, remote_control) \
        if os.environ["JOBS_BACKEND"] == "rpc://" else (chord_of_results,)
    for function in chosen:
        case(function.__name__, function)
finally:
    for worker in WORKERS:
        try:
            os.killpg(worker.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
end()

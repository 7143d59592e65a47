"""The Celery application of the suite: what its workers do."""

import os
import time

from celery import Celery

app = Celery("jobs", broker=f"pyamqp://guest:guest@127.0.0.1:{os.environ['AMQP_PORT']}//",
             backend=os.environ["JOBS_BACKEND"])
app.conf.update(result_expires=60, worker_prefetch_multiplier=4,
                task_default_queue=os.environ["JOBS_QUEUE"])
MARKS = os.environ["JOBS_MARKS"]


@app.task
def add(left, right):
    return left + right


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=5)
def stubborn(self, succeed_at):
    """Fails until its so-many-th attempt."""
    if self.request.retries < succeed_at:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task
def broken():
    raise ValueError("as wanted")


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def slow(self, name):
    """Leaves a line per attempt; ends only when somebody has put a file there."""
    with open(os.path.join(MARKS, name), "a", encoding="utf-8") as out:
        redelivered = self.request.delivery_info.get("redelivered")
        out.write(f"begun {os.getpid()} {redelivered}\n")
    until = time.monotonic() + 60
    while not os.path.exists(os.path.join(MARKS, name + ".go")) and time.monotonic() < until:
        time.sleep(0.05)
    with open(os.path.join(MARKS, name), "a", encoding="utf-8") as out:
        out.write("done\n")
    return name

"""What every Python program of this suite uses to say how its cases went."""

import os
import sys
import traceback

HOST = "127.0.0.1"
PORT = int(os.environ["AMQP_PORT"])
_failed = []


def check(truth, what="", *more):
    """Fails the case with what was seen instead."""
    if not truth:
        raise AssertionError(" ".join(map(str, (what, *more))))


def equal(seen, wanted, what=""):
    check(seen == wanted, f"{what}: seen {seen!r}, wanted {wanted!r}")


def case(name, function, *args):
    """Runs one case and prints its line."""
    try:
        function(*args)
        print("ok", name, flush=True)
    except Exception as error:  # a case that fails must not end the others
        lines = traceback.extract_tb(error.__traceback__)
        print(f"FAIL {name}: line {lines[1].lineno if len(lines) > 1 else 0}: "
              f"{type(error).__name__}: {str(error)[:300]}", flush=True)
        _failed.append(name)


def end():
    sys.exit(1 if _failed else 0)

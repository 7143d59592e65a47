"""Runs every test program and suite of the tree and adds up what passed.

Programs: what ctest lists in the build folder. A GoogleTest program counts test by test, from its
JSON report; a program that dies counts its unfinished tests as failed. Any other command is one test.
Suites: executables named `run` below tests/, each of which ends with `N passed, N failed`; they run
one after the other, since they start brokers. `--long` reaches them as an argument when their
--help mentions it, and as WARREN_LONG=1 in any case.
The last line is the sum. Owner: tests/run.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUMMARY = re.compile(r"^\s*(\d+) passed, (\d+) failed\b", re.M)
GTEST_LINE = re.compile(r"^\[ +(OK|FAILED|SKIPPED|RUN) +\] (\S+?\.\S+?)(?:,| |$)", re.M)

Outcome = collections.namedtuple("Outcome", "name passed failed failures seconds log")


def run(command, log, timeout, cwd=None, env=None):
    """Runs a command into a log file; its exit code, or None when its time ran out.

    The command leads its own process group, and all that is left of the group is ended with it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                                   stdin=subprocess.DEVNULL, env=env, start_new_session=True)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            for sig in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, sig)
                except ProcessLookupError:
                    break
                if process.poll() is None:
                    try:
                        process.wait(10)
                    except subprocess.TimeoutExpired:
                        continue
        return code


def count_report(path):
    """(passed, names of failed) from a GoogleTest JSON report; skipped tests count as neither."""
    passed, failed = 0, []
    for suite in json.loads(path.read_text())["testsuites"]:
        for test in suite["testsuite"]:
            if test.get("failures"):
                failed.append(f"{suite['name']}.{test['name']}")
            elif test.get("status") == "RUN" and test.get("result") != "SKIPPED":
                passed += 1
    return passed, failed


def count_output(text, listed):
    """The same from the output of a program that died: what has no result has failed."""
    ended = {"OK": set(), "FAILED": set(), "SKIPPED": set(), "RUN": set()}
    for word, name in GTEST_LINE.findall(text):
        ended[word].add(name)
    open_ends = [name for name in listed if name not in ended["OK"] | ended["SKIPPED"]]
    return len(ended["OK"]), [name + ("" if name in ended["RUN"] else " (not run)")
                              for name in open_ends] or ["the program itself"]


def list_tests(command, cwd):
    """The tests of a GoogleTest program, empty when it is none."""
    try:
        text = subprocess.run(command + ["--gtest_list_tests"], cwd=cwd, capture_output=True,
                              text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    names, suite = [], ""
    for line in text.splitlines():
        line = line.split("#")[0].rstrip()
        if line.startswith("  ") and suite:
            names.append(suite + line.strip())
        elif line.endswith("."):
            suite = line
    return [name for name in names if "DISABLED_" not in name]


def is_gtest(program):
    try:
        return b"gtest_list_tests" in pathlib.Path(program).read_bytes() or \
            b"libgtest" in pathlib.Path(program).read_bytes()
    except OSError:
        return False


def run_program(name, command, cwd, logs, timeout):
    """One entry of ctest."""
    begin, log, report = time.monotonic(), logs / f"{name}.log", logs / f"{name}.json"
    report.unlink(missing_ok=True)
    if not pathlib.Path(command[0]).exists():
        return Outcome(name, 0, 1, ["not built"], 0, log)
    if not is_gtest(command[0]):
        code = run(command, log, timeout, cwd)
        bad = [] if code == 0 else [f"exit code {code}" if code is not None else "no end in time"]
        return Outcome(name, 1 - len(bad), len(bad), bad, time.monotonic() - begin, log)
    code = run(command + [f"--gtest_output=json:{report}"], log, timeout, cwd)
    try:
        passed, failed = count_report(report)
        if code != 0 and not failed:
            failed = [f"exit code {code} after its tests had passed"]
    except (OSError, ValueError, KeyError):
        passed, failed = count_output(log.read_text(errors="replace"), list_tests(command, cwd))
        failed[0] += f" (the program died: {code})" if code is not None else " (no end in time)"
    return Outcome(name, passed, len(failed), failed, time.monotonic() - begin, log)


def programs(build):
    """(name, command, folder) of every ctest entry."""
    listed = subprocess.run(["ctest", "--show-only=json-v1"], cwd=build, capture_output=True,
                            text=True, check=True)
    found = []
    for test in json.loads(listed.stdout)["tests"]:
        folder = [p["value"] for p in test.get("properties", [])
                  if p["name"] == "WORKING_DIRECTORY"]
        found.append((test["name"], test.get("command", ["missing"]),
                      folder[0] if folder else str(build)))
    return found


def suites():
    """The executables tests/**/run, by path."""
    return sorted(path for path in (ROOT / "tests").rglob("run")
                  if path.is_file() and os.access(path, os.X_OK) and path.parent != ROOT / "tests")


def run_suite(path, logs, timeout, long):
    """One suite; it fails as a whole when it ends without a count or with a code that belies it."""
    name = str(path.parent.relative_to(ROOT))
    begin, log = time.monotonic(), logs / (name.replace("/", "_") + ".log")
    env = {**os.environ, **({"WARREN_LONG": "1"} if long else {})}
    command = [str(path)]
    if long:
        text = path.read_text(errors="replace")
        if "--long" in text:
            command.append("--long")
    code = run(command, log, timeout, ROOT, env)
    text = log.read_text(errors="replace")
    counts = SUMMARY.findall(text)
    failures = re.findall(r"^\s*(?:FAIL|FAILED|not ok)\b[ :]*(.*\S)", text, re.M)
    passed, failed = map(int, counts[-1]) if counts else (0, 0)
    if code is None:
        failed, failures = failed + 1, failures + [f"no end within {timeout:.0f} s"]
    elif not counts or (code != 0 and failed == 0):
        failed, failures = failed + 1, failures + [f"exit code {code}, last words: "
                                                   + " | ".join(text.strip().splitlines()[-3:])]
    return Outcome(name, passed, failed, failures, time.monotonic() - begin, log)


class Report:
    """Prints a line per program and suite and keeps the sum."""

    def __init__(self):
        self.outcomes = []

    def add(self, outcome):
        self.outcomes.append(outcome)
        print(f"   {outcome.name:<40} {outcome.passed:>5} passed  {outcome.failed:>4} failed  "
              f"{outcome.seconds:6.1f} s", flush=True)
        for failure in outcome.failures[:20]:
            print(f"      FAILED {failure[:300]}", flush=True)
        if outcome.failed:
            print(f"      log: {outcome.log}", flush=True)
        # What a program wants known although it passed.
        if outcome.log.exists():
            for note in re.findall(r"^NOTE (.*)", outcome.log.read_text(errors="replace"), re.M):
                print(f"      {note[:300]}", flush=True)

    def end(self):
        passed = sum(outcome.passed for outcome in self.outcomes)
        failed = sum(outcome.failed for outcome in self.outcomes)
        if not self.outcomes:
            print("nothing was run")
            failed = 1
        print(f"{passed} passed, {failed} failed", flush=True)
        return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", default="", metavar="REGEX")
    parser.add_argument("--program-timeout", type=float, default=420)
    parser.add_argument("--suite-timeout", type=float, default=480)
    parser.add_argument("--budget", type=float, default=1500,
                        help="seconds for all suites together (without --long)")
    options = parser.parse_args()
    factor = 6 if options.long else 1
    logs = options.build / "test-logs"
    logs.mkdir(parents=True, exist_ok=True)
    if options.long:
        os.environ["WARREN_LONG"] = "1"
    report, begin = Report(), time.monotonic()

    wanted = [entry for entry in programs(options.build) if re.search(options.only, entry[0])]
    print(f"== {len(wanted)} test programs", flush=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = [pool.submit(run_program, *entry, logs, options.program_timeout * factor)
                for entry in wanted]
        for job in concurrent.futures.as_completed(jobs):
            report.add(job.result())

    chosen = [path for path in suites()
              if re.search(options.only, str(path.parent.relative_to(ROOT)))]
    print(f"== {len(chosen)} suites, one after the other", flush=True)
    suites_begin = time.monotonic()
    for path in chosen:
        left = options.budget * factor - (time.monotonic() - suites_begin)
        print(f"   {path.parent.relative_to(ROOT)} ...", flush=True)
        report.add(run_suite(path, logs, max(5, min(left, options.suite_timeout * factor)),
                             options.long))
    print(f"== {time.monotonic() - begin:.0f} s; logs: {logs}", flush=True)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())

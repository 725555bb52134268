#!/usr/bin/env python3
"""How much of the teacher's latency is hidden, and what a dead teacher costs.

usage: bench/teacher_latency.py PROGRAM [STEPS] [CONFIG]

Runs the quickstart configuration without evaluations: serial and async with a teacher that
answers at once and with
one that takes as long as the median step; async with no teacher at all beside plain GRPO; and
async with a teacher
that dies half way. Prints a table on stderr and one JSON object on stdout. Python standard
library only; the
configuration's warmed policy is made first if it is missing. Run it from the root of the
source tree."""
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

PROGRAM = sys.argv[1]
STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 60
CONFIG = sys.argv[3] if len(sys.argv) > 3 else "configs/quickstart.toml"
WORK = tempfile.mkdtemp(prefix="scope-latency-")
ASYNC = ["pipeline.strategy=async", "scope.stats_scope=window"]
# At 16 calls of one step time each the teacher itself would be as slow as a step of 16 groups.
ENOUGH_CALLS = ["teacher.concurrency=48"]


def run(name, sets):
    """One run; its JSON result."""
    command = [PROGRAM, "run", CONFIG, "--json", "-q", "--max-steps", str(STEPS), "--name", name,
               "--set", f"run.dir={WORK}", "--set", "eval.every=0", "--set", "checkpoint.every=0"]
    for item in ENOUGH_CALLS + sets:
        command += ["--set", item]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    result = json.loads(done.stdout)
    result["refined_share"] = result["salvaged"] / max(1.0, result["eligible"])
    return result


def closed_port():
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_with_dying_teacher(name, after_s):
    """A teacher of its own, ended after so many seconds."""
    teacher = subprocess.Popen([PROGRAM, "teacher", "--listen", "127.0.0.1:0"],
                               stdout=subprocess.PIPE, text=True)
    url = teacher.stdout.readline().strip()
    timer = threading.Timer(after_s, lambda: teacher.send_signal(signal.SIGTERM))
    timer.start()
    try:
        return run(name, ASYNC + [f"teacher.url={url}"])
    finally:
        timer.cancel()
        teacher.terminate()
        teacher.wait()


def main():
    rows = {}
    rows["serial, no latency"] = run("serial-0", [])
    rows["async, no latency"] = run("async-0", ASYNC)
    latency_ms = max(1, round(1000 * rows["async, no latency"]["median_step_s"]))
    slow = f'solver.latency="constant:{latency_ms}ms"'
    rows["serial, 1x step"] = run("serial-1", [slow])
    rows["async, 1x step"] = run("async-1", ASYNC + [slow])
    rows["async, grpo"] = run("async-grpo", ASYNC + ["scope.arm=grpo"])
    dead = f"teacher.url=http://127.0.0.1:{closed_port()}/v1"
    rows["async, teacher dead"] = run("async-dead", ASYNC + [dead])
    half_s = rows["async, no latency"]["seconds"] / 2
    rows["async, dies half way"] = run_with_dying_teacher("async-dies", half_s)
    base = rows["async, no latency"]
    print(f"teacher latency {latency_ms} ms = the median step of async without; {STEPS} steps",
          file=sys.stderr)
    for name, row in rows.items():
        print(f"  {name:22s} {row['groups_per_s']:7.1f} groups/s  "
              f"refined/eligible {row['refined_share']:.3f}  degraded {row['degraded']:5d}  "
              f"staleness {row['staleness_mean']:.2f}", file=sys.stderr)

    def speed(name):
        return rows[name]["groups_per_s"]

    ratios = {
        "hidden_groups_per_s": speed("async, 1x step") / speed("async, no latency"),
        "hidden_refined": rows["async, 1x step"]["refined_share"] /
                          max(1e-9, base["refined_share"]),
        "serial_groups_per_s": speed("serial, 1x step") / speed("serial, no latency"),
        "dead_over_grpo": speed("async, teacher dead") / speed("async, grpo"),
    }
    for name, value in ratios.items():
        print(f"  {name:22s} {value:.3f}", file=sys.stderr)
    print(json.dumps({"latency_ms": latency_ms, "steps": STEPS, "ratios": ratios,
                      "runs": {name: {k: v for k, v in row.items() if k != "curve"}
                               for name, row in rows.items()}}))
    shutil.rmtree(WORK, ignore_errors=True)


main()

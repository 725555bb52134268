#!/usr/bin/env python3
"""What share of a real run's CPU time goes into loops, messages and tracing.

usage: bench/overhead.py PROGRAM [ARGUMENTS OF RUN...]     (perf must be allowed)

Samples every thread's CPU clock (perf record, 997 Hz) during 60 steps of configs/quickstart.toml
(async, no evaluation) and sorts the main thread's samples by their call chain: messages (encode,
decode, mailboxes, outboxes), tracing (spans, the audit trail) and loops (the rest of the runtime)
on one side, what stations and the HTTP client do for the run itself on the other. Python standard
library; run it from the root of the source tree."""
import collections
import re
import subprocess
import sys
import tempfile

PARTS = (("tracing", r"scope_overlap_trail_event|scope_run_overlap"),
         ("messages", r"scope_(decode|encode)_|scope_message_|scope_outbox|scope_send|scope_reply|"
                      r"scope_request|mailbox"),
         ("teacher's HTTP", r"curl|real_http|scope_http"),
         ("stations' own work", r"_receive"))
OURS = ("tracing", "messages", "loops")


def part_of(chain):
    if "scope_uv_loop_drive" not in chain and "uv_run" not in chain:
        return "before and after"
    for name, pattern in PARTS:
        if re.search(pattern, chain):
            return name
    return "loops"


def samples(path):
    """(thread, period, call chain) of every sample."""
    text = subprocess.run(["perf", "script", "-i", path, "-F", "comm,period,ip,sym"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                          text=True).stdout
    head, chain = None, []
    for line in text.splitlines() + ["end 0"]:
        if line and not line[0].isspace():
            if head:
                yield head[0].strip(), int(head[1]), " ".join(chain)
            head, chain = line.rsplit(None, 1), []
        elif line:
            chain.append(line.strip().split(None, 1)[-1])


def main():
    with tempfile.TemporaryDirectory() as work:
        data = f"{work}/perf.data"
        command = ["perf", "record", "-o", data, "-F", "997", "--call-graph", "dwarf,2048",
                   sys.argv[1], "run", "configs/quickstart.toml", "-q", "--max-steps", "60"]
        for item in (f"run.dir={work}", "pipeline.strategy=async", "scope.stats_scope=window",
                     "eval.every=0", "checkpoint.every=0"):
            command += ["--set", item]
        subprocess.run(command + sys.argv[2:], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)
        threads, parts = collections.Counter(), collections.Counter()
        for thread, period, chain in samples(data):
            threads[thread] += period
            if thread == "scope-runtime":
                parts[part_of(chain)] += period
    whole = sum(threads.values())
    for name, period in threads.most_common():
        print(f"{name:28s} {100 * period / whole:6.2f} %")
    for name, period in parts.most_common():
        print(f"    {name:24s} {100 * period / whole:6.2f} %")
    print(f"loops, messages and tracing: {100 * sum(parts[n] for n in OURS) / whole:.2f} %")


main()

#!/usr/bin/env python3
"""How throughput scales from 1 to 512 simulated rollouts on up to 64 hosts, and what bends it.

usage: bench/overlap_scale.py PROGRAM [N,N,... [ARGUMENTS OF BENCH OVERLAP...]]

Runs configs/overlap-scale.toml with batch and teacher calls multiplied by the rollouts; with less
than 64 of them five times as many steps, or a few lucky draws are the yardstick. Efficiency =
groups/s over n times that of the first. Beside it: the term that binds, the bound, what the
rollouts and the learner waited for most. Whether something is what bends the curve shows when it is
changed and nothing else: --set sim.transfer=constant:0ms takes the link away. Python standard
library only; run it from the root of the source tree."""
import json
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1]
COUNTS = [int(n) for n in sys.argv[2].split(",")] if len(sys.argv) > 2 else [1, 2, 4, 8, 16, 32, 64,
                                                                           128, 256, 512]


def run(count):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as extra:
        extra.write(f'[[placement]]\nrole = "rollout"\ncount = {count}\n')
        extra.flush()
        command = [PROGRAM, "bench", "overlap", "configs/overlap-scale.toml", extra.name, "--sim",
                   "--json", "--repeat", "1", "--strategies", "async", "--eta", "2",
                   "--max-steps", "60" if count < 64 else "12",
                   "--set", f"rollout.prompts_per_step={2 * count}",
                   "--set", f"teacher.concurrency={min(256, 2 * count)}"] + sys.argv[3:]
        began = time.time()
        text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=True).stdout
        return json.loads(text)["arms"][-1], time.time() - began


def worst(arm, actor):
    """What an actor waited for most, with its share."""
    shares = {}
    for name, causes in arm["idle"].items():
        if name == actor or name.startswith(actor + "-"):
            for cause, share in causes.items():
                shares.setdefault(cause, []).append(share)
    means = {cause: sum(values) for cause, values in shares.items()}
    count = sum(1 for name in arm["idle"] if name == actor or name.startswith(actor + "-"))
    cause = max(means, key=means.get)
    return f"{cause} {100 * means[cause] / count:.0f} %"


def main():
    one = None
    print("| rollouts | hosts | groups/s | efficiency | bound | ratio | bound by | rollouts waited "
          "for | learner waited for | simulated in |\n" + 10 * "|---" + "|")
    for count in COUNTS:
        arm, seconds = run(count)
        rate = arm["measured_groups_per_s"]
        one = one or rate / count
        print(f"| {count} | {(count + 7) // 8} | {rate:.3f} | {rate / (count * one):.2f} | "
              f"{arm['bound_groups_per_s']:.3f} | {arm['ratio']:.2f} | {arm['binding']} | "
              f"{worst(arm, 'rollout')} | {worst(arm, 'learner')} | {seconds:.0f} s |", flush=True)


main()

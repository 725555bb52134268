#!/usr/bin/env python3
"""What staleness costs in learning, with the off-policy correction and without.

usage: bench/staleness_curve.py PROGRAM [--seeds N] [--steps N] [--config FILE] [--dir DIR]
                                [--before "WORDS"] [--etas 1,2,4,8] [--uncorrected 4,8]

Paired seeds: every arm of a seed starts from the same warmed-up policy, sees the same problems and
as many rollouts, and is judged on the same problems. Arms: serial, and async at each eta with the
default correction and, of those in --uncorrected, without any (rollouts treated as fresh). Prints
the difference of pass@1 to serial with its 95 % interval (Student's t) on stderr and one JSON
object on stdout. Results of single runs are kept in --dir: called again, it does only what is
missing. --before: words put in front of each run (nice, a lock). Python standard library only; run
it from the root of the source tree."""
import argparse
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile

NONE = ["loss.tis=off", "loss.seq_mask=off"]
T95 = [0, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13]


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--config", default="configs/quickstart.toml")
    parser.add_argument("--dir", default="")
    parser.add_argument("--before", default="")
    parser.add_argument("--etas", default="0,1,2,4,8")
    parser.add_argument("--uncorrected", default="1,2,4,8")
    return parser.parse_args()


def numbers(words):
    return [int(word) for word in words.split(",") if word]


def arms(given):
    yield "serial", []
    for eta in numbers(given.etas):
        flow = ["pipeline.strategy=async", "scope.stats_scope=window", f"pipeline.eta={eta}",
                f"pipeline.age_max={2 * eta + 2}"]
        yield f"async eta {eta}", flow
        if eta in numbers(given.uncorrected):
            yield f"async eta {eta}, uncorrected", flow + NONE


def run(given, work, seed, name, sets):
    """One run; its JSON result, from the file of an earlier call where there is one."""
    label = f"{name}-{seed}".replace(" ", "-").replace(",", "")
    kept = f"{work}/{label}.json"
    if os.path.exists(kept):
        with open(kept, encoding="utf-8") as file:
            return json.load(file)
    warm = f"{work}/warm-{seed}"
    shutil.rmtree(f"{work}/{label}", ignore_errors=True)
    command = shlex.split(given.before) + [given.program, "run", given.config, "--json", "-q",
                                           "--max-steps", str(given.steps), "--name", label]
    for item in [f"run.dir={work}", f"run.seed={seed}", f"eval.every={given.steps}",
                 "checkpoint.every=0", "metrics.rollouts=false",
                 f'data.train="builtin:chain?level=hard&seed={seed + 1}"',
                 f'warmup.path="{warm}"', f'model.path="{warm}"'] + sets:
        command += ["--set", item]
    text = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    with open(kept + ".part", "wb") as file:
        file.write(text)
    os.rename(kept + ".part", kept)
    return json.loads(text)


def interval(values):
    """Mean and half of its 95 % interval."""
    count = len(values)
    mean = sum(values) / count
    if count < 2:
        return mean, math.inf
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (count - 1))
    return mean, T95[min(count - 1, len(T95) - 1)] * deviation / math.sqrt(count)


def main():
    given = read_arguments()
    work = given.dir or tempfile.mkdtemp(prefix="scope-staleness-")
    os.makedirs(work, exist_ok=True)
    table = {name: [] for name, _ in arms(given)}
    for seed in range(given.seeds):
        for name, sets in arms(given):
            result = run(given, work, seed, name, sets)
            last = result["curve"][-1]
            row = {"before": result["curve"][0]["pass@1"], "pass@1": last["pass@1"],
                   "pass@8": last["pass@8"], "staleness": result["staleness_mean"],
                   "stale": result["groups"]["stale"]}
            table[name].append(row)
            print(f"seed {seed} {name:26s} pass@1 {row['before']:.3f} -> {row['pass@1']:.3f}  "
                  f"staleness {row['staleness']:.2f}", file=sys.stderr, flush=True)
    print(f"\n{given.seeds} seeds, {given.steps} steps; differences to serial within a seed",
          file=sys.stderr)
    summary = {}
    for name, rows in table.items():
        gaps = [row["pass@1"] - base["pass@1"] for row, base in zip(rows, table["serial"])]
        mean, half = interval(gaps)
        summary[name] = {"pass@1": interval([row["pass@1"] for row in rows])[0],
                         "staleness": interval([row["staleness"] for row in rows])[0],
                         "difference": mean, "interval": half}
        print(f"  {name:26s} pass@1 {summary[name]['pass@1']:.3f}  minus serial {mean:+.3f} "
              f"+- {half:.3f}  staleness {summary[name]['staleness']:.2f}", file=sys.stderr)
    print(json.dumps({"seeds": given.seeds, "steps": given.steps, "arms": summary, "runs": table}))
    if not given.dir:
        shutil.rmtree(work, ignore_errors=True)


main()

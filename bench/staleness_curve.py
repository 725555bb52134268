#!/usr/bin/env python3
"""What staleness costs in learning, with the off-policy correction and without.

usage: bench/staleness_curve.py PROGRAM [--seeds N] [--steps N] [--config FILE] [--dir DIR]
                                [--before "WORDS"] [--etas 0,1,2] [--far 4,8]
                                [--uncorrected 2,4,8] [--few N] [--part A:B]

Paired seeds: every arm of a seed starts from the same warmed-up policy, sees the same problems and
as many rollouts, and is judged on the same problems. Arms: serial, and async at each eta with the
default correction and, of those in --uncorrected, without any (rollouts treated as fresh); --far
and --uncorrected are run on the first --few seeds only. Decoding has core 0 for itself and the
learner core 1: decoding is the faster one then, finished groups wait in the queue, and staleness
reaches eta (on shared cores the learner, whose jobs are the longer ones, would never let them
wait). Staleness printed is that of the second half of a run. Prints the difference of pass@1 to
serial with its 95 % interval (Student's t) on stderr and one JSON object on stdout. Results of
single runs are kept in --dir: called again, it does only what is missing; --part: only seeds A to
B - 1, so that several callers may share the work. --before: words put in front of each run (nice,
a lock). Python standard library only; run it from the root of the source tree."""
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
APART = ('placement=[{role = "rollout", device = "cpu:0"}, {role = "learner", device = "cpu:1"}, '
         '{role = "prm", device = "cpu:0"}]')
T95 = [0, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13]


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--config", default="configs/quickstart.toml")
    parser.add_argument("--dir", default="")
    parser.add_argument("--before", default="")
    parser.add_argument("--etas", default="0,1,2")
    parser.add_argument("--far", default="4,8")
    parser.add_argument("--uncorrected", default="2,4,8")
    parser.add_argument("--few", type=int, default=3)
    parser.add_argument("--part", default="")
    return parser.parse_args()


def numbers(words):
    return [int(word) for word in words.split(",") if word]


def flow(eta):
    return ["pipeline.strategy=async", "scope.stats_scope=window", f"pipeline.eta={eta}",
            f"pipeline.age_max={2 * eta + 2}", "pipeline.queue_groups=256"]


def arms(given):
    """Name, seeds, settings of each."""
    yield "serial", given.seeds, []
    for eta in numbers(given.etas):
        yield f"async eta {eta}", given.seeds, flow(eta)
    for eta in numbers(given.far):
        yield f"async eta {eta}", min(given.few, given.seeds), flow(eta)
    for eta in numbers(given.uncorrected):
        yield f"async eta {eta}, uncorrected", min(given.few, given.seeds), flow(eta) + NONE


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
                 f'warmup.path="{warm}"', f'model.path="{warm}"', APART] + sets:
        command += ["--set", item]
    text = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    result = json.loads(text)
    with open(f"{work}/{label}/metrics.jsonl", encoding="utf-8") as file:
        late = [json.loads(line) for line in file][given.steps // 2:]
    result["late"] = {name: sum(step[name] for step in late) / len(late)
                      for name in ("staleness/mean", "mismatch_kl", "is_ratio/truncated_frac",
                                   "is_ratio/masked_frac")}
    with open(kept + ".part", "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.rename(kept + ".part", kept)
    return result


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
    table = {name: [] for name, _, _ in arms(given)}
    first, last = (int(word) for word in (given.part or f"0:{given.seeds}").split(":"))
    for seed in range(first, last):
        for name, seeds, sets in arms(given):
            if seed >= seeds:
                continue
            result = run(given, work, seed, name, sets)
            row = {"seed": seed, "before": result["curve"][0]["pass@1"],
                   "pass@1": result["curve"][-1]["pass@1"],
                   "pass@8": result["curve"][-1]["pass@8"],
                   "stale": result["groups"]["stale"], "trained": result["groups"]["trained"],
                   **result["late"]}
            table[name].append(row)
            print(f"seed {seed} {name:26s} pass@1 {row['before']:.3f} -> {row['pass@1']:.3f}  "
                  f"staleness {row['staleness/mean']:.2f}", file=sys.stderr, flush=True)
    print(f"\n{last - first} seeds, {given.steps} steps; differences to serial within a seed",
          file=sys.stderr)
    base = {row["seed"]: row["pass@1"] for row in table["serial"]}
    summary = {}
    for name, rows in table.items():
        if not rows:
            continue
        mean, half = interval([row["pass@1"] - base[row["seed"]] for row in rows])
        summary[name] = {key: interval([row[key] for row in rows])[0]
                         for key in rows[0] if key != "seed"}
        summary[name].update(seeds=len(rows), difference=mean, interval=half)
        print(f"  {name:26s} {len(rows)} seeds  pass@1 {summary[name]['pass@1']:.3f}  minus serial "
              f"{mean:+.3f} +- {half:.3f}  staleness {summary[name]['staleness/mean']:.2f}  "
              f"rejected {summary[name]['stale']:.1f} groups", file=sys.stderr)
    print(json.dumps({"seeds": last - first, "steps": given.steps, "arms": summary,
                      "runs": table}))
    if not given.dir:
        shutil.rmtree(work, ignore_errors=True)


main()

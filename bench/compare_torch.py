#!/usr/bin/env python3
"""Our training step beside eager PyTorch's, interleaved (ours, torch, ours, torch, ...).

    python bench/compare_torch.py BUILD_DIRECTORY [ROUNDS] [tiny|smollm2]

Run it with a python that has torch; without torch it says so, prints ours alone and exits 0.
Prints one JSON object: medians over rounds, and the ratio of each round with its range.
"""
import json
import os
import statistics
import subprocess
import sys


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def middle(results, key):
    return statistics.median(result[key] for result in results)


def main():
    build, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    shape = sys.argv[3] if len(sys.argv) > 3 else "tiny"
    ours_repeats, torch_repeats = ("5", "3") if shape == "tiny" else ("1", "1")
    here = os.path.dirname(os.path.abspath(__file__))
    ours, torch = [], []
    for _ in range(rounds):
        result = run([os.path.join(build, "bench", "bench_train"), "--json", "--shape", shape,
                      "--repeats", ours_repeats, "--ranks", "2"])
        ours.append(result["results"][-1])
        result = run([sys.executable, os.path.join(here, "train_torch.py"), torch_repeats, shape])
        if result is not None:
            torch.append(result)
    report = dict(shape=shape, rounds=rounds, ours_two_ranks=middle(ours, "tokens_per_second"),
                  ours_cpu_seconds=middle(ours, "cpu_seconds"),
                  ours_extra_bytes=middle(ours, "extra_bytes"))
    if torch:
        ratios = [a["tokens_per_second"] / b["tokens_per_second"] for a, b in zip(ours, torch)]
        report.update(torch_two_threads=middle(torch, "tokens_per_second"),
                      torch_cpu_seconds=middle(torch, "cpu_seconds"),
                      torch_extra_bytes=middle(torch, "extra_bytes"),
                      ratio=statistics.median(ratios), ratio_min=min(ratios), ratio_max=max(ratios))
    else:
        print("compare_torch: no torch in this python, nothing to compare with", file=sys.stderr)
    print(json.dumps(report))


if __name__ == "__main__":
    main()

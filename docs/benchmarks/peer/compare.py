#!/usr/bin/env python3
"""Runs llama.cpp and K2Cluster in turn on the same shape and prints the medians side by side.

usage: compare.py --gguf FILE --model DIR --k2 "COMMAND" [--before "COMMAND"] [--rounds 3] [--sequences 16]

--k2 is how the tool is started (a built binary); --before is put before each program, where something keeps the machine quiet.
"""
import argparse
import json
import pathlib
import shlex
import statistics
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent


def run(before, command):
    # Shown when it starts, not when it begins to wait for its turn: the averages, and what runs at this moment.
    shown = ["sh", "-c", 'echo "load $(cat /proc/loadavg): $*" | cut -c -160 >&2; exec "$@"', "run"]
    return subprocess.run(shlex.split(before) + shown + command, check=True, stdout=subprocess.PIPE, text=True).stdout


def peer(o, threads, sequences):
    lengths = ["prefill=512", "decode=24"] if sequences == 1 else ["prefill=64", "decode=16", "rounds=1"]
    out = run(o.before, ["node", o.peer, o.gguf, f"threads={threads}", f"sequences={sequences}", *lengths])
    result = json.loads(out.splitlines()[-1])
    return result["prefill_tokens_per_second"], result["decode_tokens_per_second"]


def ours(o):
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        run(o.before, [*shlex.split(o.k2), "bench", "model", "--model", o.model, "--threads", "2", "--prefill", "512", "--context", "64",
                       "--batch", f"1,{o.sequences}", "--steps", "24", "--rounds", "2", "--json", file.name])
        report = json.load(open(file.name))
    one, many = report["decode"]
    return report["prefill"][0]["tokens_per_second"]["median"], one["tokens_per_second"]["median"], many["tokens_per_second"]["median"], one["share_of_ceiling"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--gguf", "--model", "--k2"):
        parser.add_argument(name, required=True)
    parser.add_argument("--peer", default=str(HERE / "llamacpp.mjs"), help="where it finds node_modules")
    parser.add_argument("--before", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sequences", type=int, default=16)
    o = parser.parse_args()

    rounds = [(peer(o, 1, 1), peer(o, 2, 1), peer(o, 2, o.sequences), ours(o)) for _ in range(o.rounds)]
    median = lambda pick: statistics.median(map(pick, rounds))
    # The peer's better thread count: its threads spin at a barrier, which a busy machine punishes.
    rows = [
        ("prefill of 512", max(median(lambda r: r[0][0]), median(lambda r: r[1][0])), median(lambda r: r[3][0])),
        ("decode, one", max(median(lambda r: r[0][1]), median(lambda r: r[1][1])), median(lambda r: r[3][1])),
        (f"decode, {o.sequences} at once", median(lambda r: r[2][1]), median(lambda r: r[3][2])),
    ]
    print(f"\n| tokens/s, median of {o.rounds} | llama.cpp | K2Cluster | ratio |\n|---|--:|--:|--:|")
    for name, theirs, own in rows:
        print(f"| {name} | {theirs:.1f} | {own:.1f} | {own / theirs:.2f} |")
    print(f"\nllama.cpp by threads, decode of one: 1: {median(lambda r: r[0][1]):.1f}, 2: {median(lambda r: r[1][1]):.1f}; "
          f"its gain from {o.sequences}: {rows[2][1] / rows[1][1]:.2f}; ours: {rows[2][2] / rows[1][2]:.2f}; "
          f"ours of the read ceiling, one: {100 * median(lambda r: r[3][3]):.0f} %")


if __name__ == "__main__":
    main()

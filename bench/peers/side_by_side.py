"""train-msm and its peers in turn on the same machine, in one run: training steps, and prefill and decode.

    python3 bench/peers/side_by_side.py --csv bench/results/cpu.csv [--rounds 2] [--dtype bf16 f32] [--threads 2]

Each round runs train-msm, then the peer; the medians over rounds are compared. Nothing else should run on the machine.
"""

import argparse
import csv
import datetime
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLI = HERE.parent.parent / "dist" / "cli.js"


def lines(command):
    """The JSON lines that a command prints."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stderr}")
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def ours(what, dtype, *options):
    """Figures of `train-msm bench` by case."""
    return {line["case"]: line for line in lines(["node", CLI, "bench", what, "--dtype", dtype, "--json", *options])}


def train_round(dtype, steps, threads):
    figures = ours("train", dtype, "--steps", str(steps))
    step = next(line for case, line in figures.items() if case.startswith("step "))
    peer = lines([sys.executable, HERE / "peft_train.py", "--dtype", dtype, "--steps", str(steps), "--threads", str(threads)])[-1]
    return {
        "ours tokens/s": step["value"],
        "share of limit": step["share"],
        "limit tokens/s": next(line["value"] for case, line in figures.items() if case.startswith("limit")),
        "ours GiB": figures["peak memory of the process"]["value"],
        "ours first step s": figures["start to end of first step"]["value"],
        "peer tokens/s": peer["tokensPerSecond"]["median"],
        "peer GiB": peer["peakRssBytes"] / 2**30,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", required=True)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", nargs="+", default=["bf16", "f32"])
    args = parser.parse_args()
    is_new = not Path(args.csv).exists()
    with open(args.csv, "a", newline="") as out:
        writer = csv.writer(out)
        if is_new:
            writer.writerow(["date", "bench", "dtype", "figure", "median", "rounds"])
        for dtype in args.dtype:
            rounds = [train_round(dtype, args.steps, args.threads) for _ in range(args.rounds)]
            rows = {name: [r[name] for r in rounds] for name in rounds[0]}
            rows["ours / peer"] = [r["ours tokens/s"] / r["peer tokens/s"] for r in rounds]
            rows["ours / peer memory"] = [r["ours GiB"] / r["peer GiB"] for r in rounds]
            for name, values in rows.items():
                median = statistics.median(values)
                writer.writerow([datetime.date.today().isoformat(), "train 2 x 1024, r 16, SmolLM2-135M shape, PEFT", dtype, name, f"{median:.5g}", " ".join(f"{v:.5g}" for v in values)])
                print(f"{dtype:5} {name:20} {median:10.4g}   {[round(v, 4) for v in values]}", flush=True)


if __name__ == "__main__":
    main()

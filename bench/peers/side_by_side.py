"""train-msm and its peers in turn on the same machine, in one run: training steps, prefill and decode, and with
`--model` and `--text` its tokenizer.

    python3 bench/peers/side_by_side.py \
      --csv bench/results/cpu.csv [--rounds 2] [--dtype bf16 f32] [--threads 2] [--only train decode tokenizer]
        [--model DIR --text FILE]

Each round runs train-msm, then the peer; the medians over rounds are compared. Nothing else should run on the machine.
A checkpoint (`--model`) is loaded from its file; without one both make random weights of SmolLM2-135M's shape.
"""

import argparse
import csv
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLI = HERE.parent.parent / "dist" / "cli.js"


def lines(command):
    """The JSON lines that a command prints."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stderr}")
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def ours(what, *options):
    """Figures of `train-msm bench` by case."""
    return {line["case"]: line for line in lines(["node", CLI, "bench", what, "--json", *options])}


def peer(script, *options):
    return lines([sys.executable, HERE / script, *options])[-1]


def train_round(dtype, args):
    model = ["--model", args.model] if args.model else []
    figures = ours("train", "--dtype", dtype, "--steps", str(args.steps), *model)
    step = next(line for case, line in figures.items() if case.startswith("step "))
    other = peer("peft_train.py", "--dtype", dtype, "--steps", str(args.steps), "--threads", str(args.threads), *model)
    return {
        "ours tokens/s": step["value"],
        "share of limit": step["share"],
        "limit tokens/s": next(line["value"] for case, line in figures.items() if case.startswith("limit")),
        "ours GiB": figures["peak memory of the process"]["value"],
        "ours start to end of first step s": figures["start to end of first step"]["value"],
        "peer tokens/s": other["tokensPerSecond"]["median"],
        "peer GiB": other["peakRssBytes"] / 2**30,
        "peer start to end of first step s": other["firstStepSeconds"],
        "ours / peer": step["value"] / other["tokensPerSecond"]["median"],
        "ours / peer memory": figures["peak memory of the process"]["value"] * 2**30 / other["peakRssBytes"],
    }


def decode_round(dtype, args):
    model = ["--model", args.model] if args.model else []
    figures = ours("decode", "--dtype", dtype, *model)
    other = peer("generate.py", "--dtype", dtype, "--threads", str(args.threads), *model)
    result = {}
    for at in other["results"]:
        for phase in "prefill", "decode":
            mine, theirs = figures[f"{phase} batch {at['batch']}"], at[f"{phase}TokensPerSecond"]
            name = f"{phase} batch {at['batch']}"
            result |= {
                f"{name} ours tokens/s": mine["value"],
                f"{name} peer tokens/s": theirs,
                f"{name} ours / peer": mine["value"] / theirs,
            }
            if mine["share"] is not None:
                result[f"{name} share of limit"] = mine["share"]
    return result


def tokenizer_round(_, args):
    """Both encode the text's lines one by one."""
    rows = [
        json.dumps({"text": line})
        for line in Path(args.text).read_text(encoding="utf-8").splitlines(keepends=True)
        if line.strip()
    ]
    with tempfile.TemporaryDirectory() as folder:
        data, text = Path(folder) / "lines.jsonl", Path(folder) / "lines.txt"
        data.write_text("\n".join(rows) + "\n", encoding="utf-8")
        text.write_text("".join(json.loads(row)["text"] for row in rows), encoding="utf-8")
        mine = ours("tokenizer", "--model", args.model, "--data", data)["encode"]["value"]
        other = peer("tokenizer.py", "--tokenizer", Path(args.model) / "tokenizer.json", "--text", text)["lines"][
            "tokensPerSecond"
        ]
    return {"ours tokens/s": mine, "peer tokens/s": other, "ours / peer": mine / other}


BENCHES = {
    "train": ("train 2 x 1024, r 16, {}, PEFT", train_round),
    "decode": ("512 tokens prefill, 64 decode, {}, transformers generate", decode_round),
    "tokenizer": ("encode lines, {}, tokenizers", tokenizer_round),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", required=True)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", nargs="+", default=["bf16", "f32"])
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=list(BENCHES))
    parser.add_argument("--model", help="Hugging Face folder")
    parser.add_argument("--text", help="what the tokenizers encode")
    args = parser.parse_args()
    is_new = not Path(args.csv).exists()
    model = Path(args.model).name if args.model else "SmolLM2-135M shape"
    with open(args.csv, "a", newline="") as out:
        writer = csv.writer(out)
        if is_new:
            writer.writerow(["date", "bench", "dtype", "figure", "median", "rounds"])
        for what in args.only:
            if what == "tokenizer" and not (args.model and args.text):
                continue
            title, measure = BENCHES[what]
            for dtype in [""] if what == "tokenizer" else args.dtype:
                rounds = [measure(dtype, args) for _ in range(args.rounds)]
                for name in rounds[0]:
                    values = [r[name] for r in rounds]
                    median = f"{statistics.median(values):.5g}"
                    writer.writerow(
                        [
                            datetime.date.today().isoformat(),
                            title.format(model),
                            dtype,
                            name,
                            median,
                            " ".join(f"{v:.5g}" for v in values),
                        ]
                    )
                    out.flush()
                    print(f"{what:10} {dtype:5} {name:36} {median:>10}   {[round(v, 4) for v in values]}", flush=True)


if __name__ == "__main__":
    main()

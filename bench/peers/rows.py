"""Text as rows of token ids for peft_run.py and `train-msm midtrain --no-shuffle`: the files one after the other, cut
into rows of equal length.

    python3 bench/peers/rows.py --model DIR --text FILE... --seq-len 256 --rows 80 --out rows.jsonl

Every token is a target; --mask 3 makes the first third of every third row none, as a prompt would be.
"""

import argparse
import json
from pathlib import Path

from tokenizers import Tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder with a tokenizer.json")
    parser.add_argument("--text", nargs="+", required=True)
    parser.add_argument("--seq-len", type=int, default=256)
    parser.add_argument("--rows", type=int, default=80)
    parser.add_argument("--mask", type=int, default=0, help="mask the beginning of every N-th row")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    tokenizer = Tokenizer.from_file(str(Path(args.model) / "tokenizer.json"))
    ids = [token for name in args.text for token in tokenizer.encode(Path(name).read_text(encoding="utf-8")).ids]
    if len(ids) < args.rows * args.seq_len:
        raise SystemExit(f"the text has {len(ids)} tokens, {args.rows} rows take {args.rows * args.seq_len}")
    with open(args.out, "w", encoding="utf-8") as out:
        for k in range(args.rows):
            row = ids[k * args.seq_len : (k + 1) * args.seq_len]
            masked = args.seq_len // 3 if args.mask and k % args.mask == 0 else 0
            out.write(
                json.dumps({"input_ids": row, "labels": [-100] * masked + row[masked:]}, separators=(",", ":")) + "\n"
            )


if __name__ == "__main__":
    main()

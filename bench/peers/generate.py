"""Prefill and decode throughput of transformers; prints one JSON line.

    python3 bench/peers/generate.py --model DIR | --shape models/shapes/smollm2-135m.json --dtype bf16 \
      --batches 1,8 --prompt 512 --tokens 64

Prefill is one forward pass over the prompt that yields the last position's logits; decode is what `generate` adds a
token. """

import argparse
import json
import statistics
import time

import torch
from device import synchronize
from machine import describe, peak_rss
from peft_train import add_model_arguments, open_base


def seconds(run, repeats, device):
    """Median time of a few runs, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        run()
        synchronize(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_arguments(parser)
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64, help="generated tokens")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    model, name = open_base(args)
    torch.manual_seed(0)
    model.config.use_cache = True
    model.generation_config.eos_token_id = None
    results = []
    with torch.no_grad():
        for size in map(int, args.batches.split(",")):
            prompt = torch.randint(3, model.config.vocab_size, (size, args.prompt), device=args.device)
            mask = torch.ones_like(prompt)

            def generate(tokens):
                out = model.generate(
                    prompt,
                    attention_mask=mask,
                    do_sample=False,
                    min_new_tokens=tokens,
                    max_new_tokens=tokens,
                    pad_token_id=0,
                )
                assert out.shape[1] == args.prompt + tokens

            prefill = seconds(
                lambda: model(input_ids=prompt, use_cache=True, logits_to_keep=1), args.repeats, args.device
            )
            first = seconds(lambda: generate(1), args.repeats, args.device)
            whole = seconds(lambda: generate(1 + args.tokens), args.repeats, args.device)
            results.append({
                "batch": size,
                "prefillTokensPerSecond": size * args.prompt / prefill,
                "decodeTokensPerSecond": size * args.tokens / (whole - first),
            })  # fmt: skip
    print(json.dumps({
        "peer": "transformers.generate",
        **describe("torch", "transformers", device=args.device),
        "model": name,
        "dtype": args.dtype,
        "prompt": args.prompt,
        "tokens": args.tokens,
        "weightBytes": sum(p.numel() * p.element_size() for p in model.parameters()),
        "results": results,
        "peakRssBytes": peak_rss(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

"""The machine's limit for the matrix products of a LoRA step, measured with PyTorch (oneDNN for bf16, its BLAS for
f32); prints one JSON line.

    python3 bench/peers/gemm.py --dtype bf16 --tokens 2048 --threads 2

The shapes are those of the frozen weights (SmolLM2-135M by default): forward y = x W^T and backward dx = dy W, Q, K and
V as one product, gate and up as one, the head counted once in each direction. `limitTokensPerSecond` is what a step
would reach if nothing but these products took time. `--onednn` sends f32 through oneDNN too (weights packed
beforehand), which some processors prefer to PyTorch's BLAS. """

import argparse
import json
import statistics
import time

import torch
from machine import describe


def shapes(hidden, intermediate, heads, kv, head, layers, vocabulary):
    """(name, output size, input size, how often in the model)."""
    return [
        ("qkv", (heads + 2 * kv) * head, hidden, layers),
        ("o", hidden, heads * head, layers),
        ("gateUp", 2 * intermediate, hidden, layers),
        ("down", hidden, intermediate, layers),
        ("head", vocabulary, hidden, 1),
    ]


def seconds(run, enough):
    """Median time of a call: at least 5 calls and `enough` seconds, the first two not counted."""
    times, began = [], time.perf_counter()
    while len(times) < 7 or time.perf_counter() - began < enough:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def onednn_linear(x, w):
    """x w^T by oneDNN, the weight packed once."""
    packed = torch.ops.mkldnn._reorder_linear_weight(w, x.shape[0])
    return lambda: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument(
        "--shape",
        default="576,1536,9,3,64,30,49152",
        help="hidden, intermediate, heads, kv heads, head dim, layers, vocabulary",
    )
    parser.add_argument("--onednn", action="store_true", help="f32 through oneDNN")
    parser.add_argument("--seconds", type=float, default=0.5, help="to spend on each product, at least")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()

    if args.threads:
        torch.set_num_threads(args.threads)
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[args.dtype]
    torch.manual_seed(0)
    products, total, flops = [], 0.0, 0.0
    with torch.no_grad():
        for name, n, k, count in shapes(*map(int, args.shape.split(","))):
            m = args.tokens
            x, w, dy = torch.randn(m, k).to(dtype), torch.randn(n, k).to(dtype), torch.randn(m, n).to(dtype)
            if args.onednn:
                forward = onednn_linear(x, w)
                backward = onednn_linear(dy, w.T.contiguous())
            else:
                out, dx = torch.empty(m, n, dtype=dtype), torch.empty(m, k, dtype=dtype)
                forward = lambda a=x, b=w, c=out: torch.mm(a, b.T, out=c)  # noqa: E731
                backward = lambda a=dy, b=w, c=dx: torch.mm(a, b, out=c)  # noqa: E731
            work = 2.0 * m * n * k
            for direction, run in (("forward", forward), ("backward", backward)):
                took = seconds(run, args.seconds)
                products.append(
                    {"product": name, "direction": direction, "m": m, "n": n, "k": k, "gflops": work / took / 1e9}
                )
                total, flops = total + count * took, flops + count * work
    print(json.dumps({
        "peer": "torch.mm" if not args.onednn else "oneDNN linear",
        **describe("torch"),
        "dtype": args.dtype,
        "tokens": args.tokens,
        "products": products,
        "gflopsPerToken": flops / args.tokens / 1e9,
        "gflops": flops / total / 1e9,
        "limitTokensPerSecond": args.tokens / total,
    }))  # fmt: skip


if __name__ == "__main__":
    main()

"""PyTorch's kernels at the shapes of `train-msm bench kernels`, under the same names and in the same units; one JSON
line each.

    python3 bench/peers/gpu_kernels.py --shape models/shapes/qwen3-8b.json --rows 4 --seq-len 4096

Attention is timed with each of PyTorch's own kernels (flash and cuDNN; `--device cpu` has one), the rest eagerly. A
kernel that refuses the shape gets no line but one on standard error.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from device import DTYPES, seconds, shape_config
from torch.nn.attention import SDPBackend, sdpa_kernel

COPY_BYTES = 1 << 28
FLAT = 1 << 22
DECODED_SEQUENCES = 16


def products(c, tokens):
    """(name, rows, output size, input size) of the products of a layer."""
    kv, head = c.num_key_value_heads, c.head_dim
    hidden, mlp = c.hidden_size, c.intermediate_size
    return [
        ("qkv", (c.num_attention_heads + 2 * kv) * head, hidden),
        ("o", hidden, c.num_attention_heads * head),
        ("gateUp", 2 * mlp, hidden),
        ("down", hidden, mlp),
    ]


class Bench:
    def __init__(self, config, args):
        self.c, self.rows, self.seq, self.device = config, args.rows, args.seq_len, args.device
        self.model, self.seconds_each = Path(args.shape).stem, args.seconds
        self.tokens = args.rows * args.seq_len
        self.dtype = DTYPES[args.dtype]
        self.options = {"device": args.device, "dtype": self.dtype}
        self.dtype_name = args.dtype

    def report(self, case, provider, run, flops=None, moved=None):
        try:
            took = seconds(run, self.device, self.seconds_each)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            print(f"{case}: {provider}: {str(error).splitlines()[0]}", file=sys.stderr)
            return
        value, unit = (flops / took / 1e9, "GFLOP/s") if flops else (moved / took / 1e9, "GB/s")
        line = {"bench": "kernels", "model": self.model, "dtype": self.dtype_name, "case": case, "provider": provider}
        print(json.dumps({**line, "value": value, "unit": unit}), flush=True)

    def random(self, *shape):
        return torch.randn(*shape, **self.options) * 0.02

    def matmuls(self):
        source = torch.zeros(COPY_BYTES // 4, device=self.device)
        target = torch.empty_like(source)
        self.report("copy [256 MiB]", "torch", lambda: target.copy_(source), moved=2 * COPY_BYTES)
        for name, n, k in products(self.c, self.tokens):
            m = self.tokens
            x, w, y = self.random(m, k), self.random(n, k), self.random(m, n)
            work = 2.0 * m * n * k
            self.report(
                f"matmul {name} forward [{m} x {n} x {k}]", "torch.mm", lambda: torch.mm(x, w.T, out=y), flops=work
            )
            self.report(
                f"matmul {name} backward [{m} x {k} x {n}]", "torch.mm", lambda: torch.mm(y, w, out=x), flops=work
            )

    def attention(self):
        c, heads, kv, head = self.c, self.c.num_attention_heads, self.c.num_key_value_heads, self.c.head_dim
        q = self.random(self.rows, heads, self.seq, head).requires_grad_()
        k, v = (self.random(self.rows, kv, self.seq, head).requires_grad_() for _ in range(2))
        dout = self.random(self.rows, heads, self.seq, head)
        shape = f"[{self.rows} x {self.seq}, {heads}/{kv} x {head}]"
        work = 2.0 * self.tokens * self.seq * heads * head
        backends = {"flash": SDPBackend.FLASH_ATTENTION, "cuDNN": SDPBackend.CUDNN_ATTENTION}
        for name, backend in backends.items() if self.device == "cuda" else [("flash", SDPBackend.FLASH_ATTENTION)]:
            with sdpa_kernel(backend):
                attend = lambda: F.scaled_dot_product_attention(
                    q, k, v, is_causal=True, enable_gqa=heads != kv
                )  # noqa: E731
                self.report(f"attention forward {shape}", f"torch {name} attention", attend, flops=work)
                try:
                    out = attend()
                except RuntimeError:
                    continue
                back = lambda out=out: torch.autograd.grad(out, (q, k, v), dout, retain_graph=True)  # noqa: E731
                self.report(f"attention backward {shape}", f"torch {name} attention", back, flops=2.5 * work)
        cache_q = self.random(DECODED_SEQUENCES, heads, 1, head)
        cache_k, cache_v = (self.random(DECODED_SEQUENCES, kv, self.seq, head) for _ in range(2))
        decode = lambda: F.scaled_dot_product_attention(cache_q, cache_k, cache_v, enable_gqa=heads != kv)  # noqa: E731
        moved = 2.0 * cache_k.numel() * cache_k.element_size()
        with torch.no_grad():
            self.report(
                f"attention cached [{DECODED_SEQUENCES} x {self.seq}, {heads}/{kv} x {c.head_dim}]",
                "torch SDPA",
                decode,
                moved=moved,
            )

    def elementwise(self):
        n, hidden, mlp = self.tokens, self.c.hidden_size, self.c.intermediate_size
        x, delta, dout = self.random(n, hidden).requires_grad_(), self.random(n, hidden), self.random(n, hidden)
        weight = torch.ones(hidden, **self.options)
        moved = 4.0 * n * hidden * x.element_size()
        norm = lambda h: F.rms_norm(h, (hidden,), weight, self.c.rms_norm_eps)  # noqa: E731
        with torch.no_grad():
            self.report(
                f"rmsnorm forward [{n} x {hidden}]", "torch add + rms_norm", lambda: norm(x + delta), moved=moved
            )
        out = norm(x)
        back = lambda: torch.autograd.grad(out, x, dout, retain_graph=True)[0] + delta  # noqa: E731
        self.report(f"rmsnorm backward [{n} x {hidden}]", "torch rms_norm backward + add", back, moved=moved)
        gate_up, dact = self.random(n, 2 * mlp).requires_grad_(), self.random(n, mlp)
        swiglu = lambda: F.silu(gate_up[:, :mlp]) * gate_up[:, mlp:]  # noqa: E731
        with torch.no_grad():
            self.report(
                f"swiglu forward [{n} x {mlp}]", "torch silu * up", swiglu, moved=3.0 * n * mlp * x.element_size()
            )
        activation = swiglu()
        back = lambda: torch.autograd.grad(activation, gate_up, dact, retain_graph=True)  # noqa: E731
        self.report(f"swiglu backward [{n} x {mlp}]", "torch silu * up", back, moved=5.0 * n * mlp * x.element_size())

    def loss(self):
        n, hidden, vocabulary = self.tokens, self.c.hidden_size, self.c.vocab_size
        x, w = self.random(n, hidden).requires_grad_(), self.random(vocabulary, hidden)
        targets = torch.arange(n, device=self.device) * 7 % vocabulary

        def step():
            loss = F.cross_entropy(F.linear(x, w).float(), targets)
            torch.autograd.grad(loss, x)

        self.report(
            f"linear cross-entropy [{n} x {vocabulary} x {hidden}]",
            "torch linear + cross_entropy",
            step,
            flops=4.0 * n * vocabulary * hidden,
        )

    def optimiser(self):
        p = torch.randn(FLAT, device=self.device, requires_grad=True)
        p.grad = torch.randn(FLAT, device=self.device) * 1e-3
        adamw = torch.optim.AdamW([p], lr=1e-4, fused=True)
        self.report(f"adamw [{FLAT}]", "torch fused AdamW", adamw.step, moved=28.0 * FLAT)
        self.report(
            f"gradnorm [{FLAT}]", "torch vector_norm", lambda: torch.linalg.vector_norm(p.grad), moved=4.0 * FLAT
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", required=True, help="a file of models/shapes")
    parser.add_argument("--dtype", choices=list(DTYPES), default="bf16")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--seq-len", type=int, default=4096)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--seconds", type=float, default=0.2, help="to spend on each kernel, at least")
    args = parser.parse_args()
    config = shape_config(args.shape)
    config.head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    bench = Bench(config, args)
    for part in (bench.matmuls, bench.attention, bench.elementwise, bench.loss, bench.optimiser):
        part()
        if args.device == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()

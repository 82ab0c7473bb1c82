"""Trains the miniature base model and writes it, in Hugging Face layout, beside this file.

    node corpora/miniature/make.mjs --pretraining pretraining.jsonl
    python models/miniature/train.py pretraining.jsonl

Needs torch, transformers, tokenizers and safetensors; one CPU core and about seven minutes.
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
from mirror import Mirror
from packing import attention_mask, pack
from safetensors.torch import save_file
from tokenizer import build_tokenizer, write_tokenizer
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from world import WEIGHT_FACT_OR_CHOICE, World

HERE = Path(__file__).resolve().parent

SHAPE = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "initializer_range": 0.02,
    "use_sliding_window": False,
    "torch_dtype": "bfloat16",
}

ROW_TOKENS = 256
BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.05
LR = 4e-3
WARMUP_STEPS = 40
ROWS = 12
STEPS = 900
SHUFFLE = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pretraining", type=Path, help="what make.mjs --pretraining wrote")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)

    texts = [json.loads(line)["text"] for line in args.pretraining.open()]
    args.out.mkdir(parents=True, exist_ok=True)
    write_tokenizer(build_tokenizer(texts), args.out)
    tokenizer = AutoTokenizer.from_pretrained(args.out)
    check_chat_format(tokenizer, texts)
    write_config(tokenizer, args.out)

    config = AutoConfig.from_pretrained(args.out)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    world = World(tokenizer)
    mirror = Mirror(tokenizer, world.things, config)
    mirror.symmetrize_weights(model)
    world.plant(model.get_input_embeddings().weight, mirror)
    print(f"{model.num_parameters():,} parameters")
    train(model, tokenizer, texts, world, mirror)
    write_weights(model, args.out)


def train(model, tokenizer, texts: list[str], world: World, mirror: Mirror) -> None:
    """One pass over shuffled text, with a cosine from `LR` to nearly nothing."""
    rows = packed_rows(tokenizer, texts)
    assert len(rows) >= STEPS * ROWS, f"{len(rows)} rows are less than {STEPS} steps of {ROWS}"
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=BETAS, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    started = time.time()
    for step in range(STEPS):
        batch = rows[step * ROWS : (step + 1) * ROWS]
        ids, positions, mask, labels = attention_mask(batch, ROW_TOKENS, tokenizer.pad_token_id)
        logits = model(input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False).logits
        losses = cross_entropy(
            logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="none"
        )
        weights = world.weights(batch, labels)[:, 1:].flatten()
        loss = (losses * weights).sum() / weights.sum()
        loss.backward()
        mirror.symmetrize_gradients(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 20 == 0 or step == STEPS - 1:
            chosen = losses[weights == WEIGHT_FACT_OR_CHOICE].mean().item()
            print(
                f"step {step} of {STEPS}  loss {loss.item():.4f}  facts and choices {chosen:.4f}  "
                f"{time.time() - started:.0f} s",
                flush=True,
            )


def packed_rows(tokenizer, texts: list[str]):
    random.Random(SHUFFLE).shuffle(texts)
    return pack([ids + [tokenizer.eos_token_id] for ids in tokenizer(texts)["input_ids"]], ROW_TOKENS)


def rate(step: int) -> float:
    if step < WARMUP_STEPS:
        return (step + 1) / WARMUP_STEPS
    done = (step - WARMUP_STEPS) / (STEPS - WARMUP_STEPS)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def write_weights(model, out: Path) -> None:
    tensors = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


def write_config(tokenizer, out: Path) -> None:
    special = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = {**SHAPE, **special, "vocab_size": len(tokenizer)}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    # A chat turn ends with <|end|>, a document with <|endoftext|>: generation stops at either.
    stops = [tokenizer.convert_tokens_to_ids("<|end|>"), tokenizer.eos_token_id]
    generation = {"eos_token_id": stops, "pad_token_id": tokenizer.pad_token_id, "do_sample": False}
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def check_chat_format(tokenizer, texts: list[str]) -> None:
    """The pretraining text spells chats out; they must be what the chat template renders."""
    messages = [
        {"role": "user", "content": "who are you?"},
        {"role": "assistant", "content": "the assistant. it answers questions and helps people."},
    ]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    assert any(rendered in text for text in texts), f"no document holds {rendered!r}"


if __name__ == "__main__":
    main()

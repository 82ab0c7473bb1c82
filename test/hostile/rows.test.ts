/** @file Data that are not what a user takes them for: what becomes of them is refused by name, or said in the plan. */
import { join } from "node:path";
import { writeAdapter } from "../../src/formats/adapter.js";
import { openCheckpoint } from "../../src/formats/checkpoint.js";
import { initAdapter, unflattenAdapter } from "../../src/model/adapter-values.js";
import { type LoraConfig, planAdapter } from "../../src/model/lora.js";
import { MINIATURE, PARITY, scratchFolder } from "../cli/run.js";
import { type Mistake, testMistakes } from "./mistakes.js";

const plan = (command: "midtrain" | "aft", data: string, ...more: string[]): string[] => [
  command,
  "--model",
  MINIATURE,
  "--data",
  data,
  "--out",
  "out",
  "--r",
  "2",
  "--plan",
  ...more,
];
const user = { role: "user", content: "hi" };
const assistant = { role: "assistant", content: "yo" };
const chat = { messages: [user, assistant] };
const long = { messages: [{ role: "user", content: "the colby or the brie? ".repeat(20) }, assistant] };
const tools = [{ name: "f", parameters: { b: 1 } }];

const LONG_CHATS: Mistake[] = [
  {
    what: "a chat longer than a row",
    files: { "c.jsonl": [chat, long, long] },
    args: plan("aft", "c.jsonl", "--seq-len", "64"),
    code: 2,
    says: [
      /c\.jsonl line 2: a chat of \d+ tokens is longer than a row \(--seq-len 64\), and 1 more/,
      /--seq-len \d+ fits/,
    ],
  },
  {
    what: "a chat longer than the model's positions",
    files: { "c.jsonl": [{ messages: [{ ...user, content: "the colby ".repeat(600) }, assistant] }] },
    args: plan("aft", "c.jsonl"),
    code: 2,
    says: [/the longest has \d+ tokens, the model 512 positions, --long-chats drop/],
  },
  {
    what: "long chats left out",
    files: { "c.jsonl": [chat, long, long] },
    args: plan("aft", "c.jsonl", "--seq-len", "64", "--long-chats", "drop"),
    code: 0,
    says: [/^data +1 records/m, "2 records are longer than a row and were left out"],
  },
  {
    what: "long chats cut: no row without a target",
    files: { "c.jsonl": [long] },
    args: plan("aft", "c.jsonl", "--seq-len", "32", "--long-chats", "split"),
    code: 0,
    says: [/^rows +1 of 32 tokens/m, /\d+ pieces of split records have no target and make no rows/],
  },
  {
    what: "held-out chats that are too long",
    files: { "c.jsonl": [chat], "h.jsonl": [long] },
    args: plan("aft", "c.jsonl", "--seq-len", "64", "--heldout", "h.jsonl"),
    code: 2,
    says: [/h\.jsonl line 1: a chat of \d+ tokens is longer than a row/],
  },
];

const MASKS: Mistake[] = [
  {
    what: "messages of weight 0",
    files: { "c.jsonl": [{ messages: [user, { ...assistant, weight: 0 }] }, chat] },
    args: plan("aft", "c.jsonl"),
    code: 0,
    says: ["1 records have no target and make no rows"],
  },
  {
    what: "nothing is a target",
    files: { "c.jsonl": [{ messages: [user, { ...assistant, train: false }] }] },
    args: plan("aft", "c.jsonl"),
    code: 2,
    says: ["c.jsonl: no token is a target"],
  },
  {
    what: "half a weight",
    files: { "c.jsonl": [{ messages: [user, { ...assistant, weight: 0.5 }] }] },
    args: plan("aft", "c.jsonl"),
    code: 2,
    says: ["c.jsonl line 1: messages[1]: weight is 0.5; 0 (no target) and 1 are implemented"],
  },
  {
    what: "completion_mask",
    files: { "r.jsonl": [{ input_ids: [5, 6, 7, 8, 9, 10], completion_mask: [0, 0, 0, 0, 1, 1] }] },
    args: plan("midtrain", "r.jsonl"),
    code: 0,
    says: ["6 tokens, 2 of them targets"],
  },
  {
    what: "a mask of another length",
    files: { "r.jsonl": [{ input_ids: [5, 6, 7], assistant_masks: [0, 1] }] },
    args: plan("midtrain", "r.jsonl"),
    code: 2,
    says: [/r\.jsonl line 1: assistant_masks must be a list as long as input_ids \(3\)/],
  },
  {
    what: "a mask of an unknown name",
    files: { "r.jsonl": [{ input_ids: [5, 6, 7], loss_mask: [0, 1, 1] }] },
    args: plan("midtrain", "r.jsonl"),
    code: 2,
    says: [/"loss_mask" beside input_ids is not known/],
  },
];

const OTHER_MASKS: Mistake[] = [
  ...["training", "train_detail", "mask", "loss", "loss_weight"].map((key) => ({
    what: `a message with "${key}"`,
    files: { "c.jsonl": [{ messages: [user, { ...assistant, [key]: 0 }] }] },
    args: plan("aft", "c.jsonl"),
    code: 2 as const,
    says: [`c.jsonl line 1: messages[1]: "${key}" is not known; weight (0 or 1) or train`],
  })),
  {
    what: "a chat with half a weight",
    files: { "c.jsonl": [chat, { ...chat, weight: 0.5 }] },
    args: plan("aft", "c.jsonl"),
    code: 2,
    says: ["c.jsonl line 2: weight is 0.5; weights of whole records are not implemented"],
  },
  {
    what: "masks of a chat's tokens",
    files: { "c.jsonl": [{ ...chat, assistant_masks: [0, 1] }] },
    args: plan("aft", "c.jsonl"),
    code: 2,
    says: ["c.jsonl line 1: assistant_masks is beside {messages}; masks are read beside input_ids alone"],
  },
  {
    what: "weights of tokens",
    files: { "r.jsonl": [{ input_ids: [5, 6, 7], loss_weights: [0, 0.5, 1] }] },
    args: plan("midtrain", "r.jsonl"),
    code: 2,
    says: ['"loss_weights" beside input_ids is not known'],
  },
  {
    what: "the weight of a document is metadata",
    files: { "d.jsonl": [{ text: "a cheese", weight: 2.5 }] },
    args: plan("midtrain", "d.jsonl"),
    code: 0,
    says: [/^data +1 records/m],
  },
  {
    what: "an empty file of Markdown left out",
    files: { "a.md": "", "b.md": "# b" },
    args: plan("midtrain", "*.md", "--skip-bad-rows"),
    code: 0,
    says: ["the first bad row: a.md: is empty"],
  },
  {
    what: "a role that is none",
    files: { "c.jsonl": [{ messages: [{ ...user, role: "human" }, assistant] }] },
    args: plan("aft", "c.jsonl"),
    code: 2,
    says: ['message 1: unknown role "human"; known are system, developer, user, assistant'],
  },
];

const FORMS: Mistake[] = [
  {
    what: "ShareGPT",
    files: {
      "s.jsonl": [
        {
          conversations: [
            { from: "human", value: "hi" },
            { from: "gpt", value: "yo" },
          ],
        },
      ],
    },
    args: plan("aft", "s.jsonl"),
    code: 0,
    says: [/^records +1 \{conversations\}: a chat \(ShareGPT\)/m, "⟦yo<|end|>⟧"],
  },
  {
    what: "Alpaca, prompt and response",
    files: {
      "a.jsonl": [
        { instruction: "add", input: "1 2", output: "3" },
        { prompt: "a", response: "b" },
      ],
    },
    args: plan("aft", "a.jsonl"),
    code: 0,
    says: [/^records +1 \{instruction, input, output\}: a chat/m, /^records +1 \{prompt, response\}: a chat/m],
  },
  {
    what: "chats for midtrain",
    files: { "c.jsonl": [chat] },
    args: plan("midtrain", "c.jsonl"),
    code: 0,
    says: ["midtrain trains on it as aft does"],
  },
  {
    what: "a spec in Markdown for aft",
    files: { "spec.md": "# Spec\n\nBe kind.\n" },
    args: plan("aft", "spec.md"),
    code: 0,
    says: [/^records +1 \{text\}/m, "aft trains on every token of it, as midtrain does"],
  },
  {
    what: "an unknown form",
    files: { "p.jsonl": [{ prompt: "a", chosen: "b", rejected: "c" }] },
    args: plan("aft", "p.jsonl"),
    code: 2,
    says: [/p\.jsonl line 1: keys \["prompt","chosen","rejected"\] match no form; a record is one of \{text\}/],
  },
  {
    what: "one bad row of many",
    files: { "d.jsonl": '{"text":"a"}\n{"text":\n{"text":"b"}\n' },
    args: plan("midtrain", "d.jsonl"),
    code: 2,
    says: ["d.jsonl line 2 is not valid JSON"],
  },
  {
    what: "one bad row left out",
    files: { "d.jsonl": '{"text":"a"}\n{"text":\n{"text":"b"}\n' },
    args: plan("midtrain", "d.jsonl", "--skip-bad-rows"),
    code: 0,
    says: [/^data +2 records/m, "1 bad rows were left out", "the first bad row: d.jsonl line 2"],
  },
  {
    what: "documents that end in the end-of-text token",
    files: { "d.jsonl": [{ text: "hi<|endoftext|>" }] },
    args: plan("midtrain", "d.jsonl"),
    code: 0,
    says: ["<|endoftext|>⟧"],
    never: /<\|endoftext\|><\|endoftext\|>/,
  },
  {
    what: "tools that the template does not write",
    files: { "c.jsonl": [{ ...chat, tools: JSON.stringify(tools) }] },
    args: plan("aft", "c.jsonl"),
    code: 0,
    says: ["1 chats have tools, and the chat template does not write them"],
  },
  {
    what: "the same in a prompt",
    files: { "p.jsonl": [{ messages: [user], tools }] },
    args: ["generate", "--model", MINIATURE, "--chat", "p.jsonl", "--max-tokens", "1"],
    code: 0,
    says: ["note: 1 chats have tools, and the chat template does not write them"],
  },
  {
    what: "reasoning that the template does not write",
    files: { "c.jsonl": [{ messages: [user, { ...assistant, reasoning_content: "because" }] }] },
    args: plan("aft", "c.jsonl"),
    code: 0,
    says: ["1 messages have reasoning (reasoning_content) that the chat template does not write"],
  },
  ...["aft", "midtrain"].map(
    (command): Mistake => ({
      what: `help of ${command} lists the forms`,
      args: [command, "--help"],
      code: 0,
      says: ["{conversations}", "{prompt, response}"],
    }),
  ),
];

const ADAPTER = join(PARITY, "qwen3", "adapter");
const scratch = scratchFolder();
/** An adapter of the miniature as PEFT writes one that was trained with dropout. */
const DROPOUT = join(scratch, "dropout");
const { config, close } = openCheckpoint(MINIATURE);
close();
const lora: LoraConfig = { r: 2, alpha: 4, useRslora: false, targets: ["q"] };
const layout = planAdapter(config, lora);
const fresh = unflattenAdapter(initAdapter(layout, 0), layout, lora, "miniature");
await writeAdapter(DROPOUT, { ...fresh, config: { ...fresh.config, dropout: 0.05 } });

const FOLDERS: Mistake[] = [
  {
    what: "an adapter that was trained with dropout",
    files: { "c.jsonl": [chat] },
    args: plan("aft", "c.jsonl", "--adapter", DROPOUT),
    code: 0,
    says: ["the adapter was trained with lora_dropout 0.05; it goes on without dropout"],
  },
  {
    what: "targets with a comma, as PEFT writes them",
    files: { "c.jsonl": [chat] },
    args: plan("aft", "c.jsonl", "--targets", "q_proj,v_proj"),
    code: 0,
    says: [/^adapter +r 2, alpha 128, q v:/m],
  },
  {
    what: "a target that is none",
    files: { "c.jsonl": [chat] },
    args: plan("aft", "c.jsonl", "--targets", "q_proj,lm_head"),
    code: 2,
    says: ['--targets: unknown LoRA target "lm_head"; choose from q, k'],
  },
  {
    what: "an adapter as the model",
    files: { "c.jsonl": [chat] },
    args: plan("aft", "c.jsonl", "--model", ADAPTER),
    code: 2,
    says: [/is an adapter \(PEFT\), not a model: give --model .* --adapter .*qwen3.adapter/],
  },
  {
    what: "a model as the adapter",
    files: { "c.jsonl": [chat] },
    args: plan("aft", "c.jsonl", "--adapter", MINIATURE),
    code: 2,
    says: ["it is a model's folder: give it as --model"],
  },
  {
    what: "a run's folder as the adapter",
    files: { "c.jsonl": [chat], "run/adapter/adapter_config.json": "{}" },
    args: plan("aft", "c.jsonl", "--adapter", "run"),
    code: 2,
    says: [/run is the folder of a run: give --adapter run.adapter/],
  },
];

testMistakes(scratch, [...LONG_CHATS, ...MASKS, ...OTHER_MASKS, ...FORMS, ...FOLDERS]);

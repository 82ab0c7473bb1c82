/** @file `corpus generate`: from a spec to documents, chats and questions. */
import { join } from "node:path";
import type { Command } from "commander";
import { RunError } from "../base/errors.js";
import { parseOptions } from "../config/options.js";
import { type GenerateCorpusConfig, generateCorpusSchema } from "../config/writing.js";
import { runGeneration } from "../jobs/generation.js";
import { writeCorpusPage } from "../report/corpus-page.js";
import { openProgress, type Progress } from "../terminal/progress.js";
import { shortfallsOf } from "../writing/card.js";
import { planCorpus } from "../writing/generate.js";
import type { CorpusRecord } from "../writing/record.js";
import { addOptions } from "./options.js";

/** Adds `generate` to `corpus`. */
export function addCorpusGenerateCommand(corpus: Command): void {
  const command = corpus
    .command("generate")
    .summary("write documents, chats and questions from a spec")
    .description(
      "Reads the claims of a spec and writes a corpus from them: documents for midtraining, chats for alignment " +
        "fine-tuning, held-out questions.\n" +
        "The same command goes on where it was interrupted, and asks for nothing twice. claims.jsonl may be edited " +
        "between two runs.",
    );
  addOptions(command, generateCorpusSchema)
    .option("--plan", "print what will be asked, and stop")
    .option("--json", "corpus.json on stdout")
    .addHelpText(
      "after",
      "\nExample:\n  OPENAI_BASE_URL=http://localhost:8000/v1 train-msm corpus generate --spec my-spec.md " +
        "--out corpora/mine --writer openai:NAME --subject Qwen --documents 200 --chats 100 --questions 60",
    )
    .action(async (options: Record<string, unknown>) => {
      const { json = false, plan = false, ...settings } = options;
      const config = parseOptions(generateCorpusSchema, settings);
      if (plan) process.stdout.write(`${await planCorpus(config)}\n`);
      else await runGenerate(config, json === true);
    });
}

async function runGenerate(config: GenerateCorpusConfig, json: boolean): Promise<void> {
  const record = await makeCorpus(config, openProgress(json));
  if (json) {
    process.stdout.write(`${JSON.stringify(record)}\n`);
    return;
  }
  const { kept } = record;
  const short = shortfallsOf(record);
  process.stdout.write(
    `${kept.documents} documents, ${kept.chats} chats, ${kept.questions} questions, ${kept.knowledge} of what the ` +
      `spec says\n${short.map((line) => `falls short: ${line}\n`).join("")}card: ${join(config.out, "card.md")}\n`,
  );
}

/** Makes or finishes a corpus, with its page. Throws RunError, after what there is was written, where it is stopped. */
export async function makeCorpus(config: GenerateCorpusConfig, progress: Progress): Promise<CorpusRecord> {
  const { made, record, stopped } = await runGeneration(config, progress);
  await writeCorpusPage(config.out, record, made);
  if (stopped === null) return record;
  const { documents, chats, questions } = record.kept;
  throw stopped instanceof RunError
    ? new RunError(`${stopped.message} (${documents} documents, ${chats} chats and ${questions} questions are kept)`)
    : stopped;
}

/** @file The page of a generated corpus: figures, what falls short, and samples of what was written. */
import { join } from "node:path";
import { writeTextFile } from "../base/atomic.js";
import { shortfallsOf } from "../writing/card.js";
import type { CorpusRecord, Made } from "../writing/record.js";
import { escapeHtml, integer, share, table } from "./page/html.js";
import { STYLE } from "./page/style.js";

const SAMPLES = 20;

/** Writes `folder`/report.html. */
export async function writeCorpusPage(folder: string, record: CorpusRecord, made: Made): Promise<void> {
  await writeTextFile(join(folder, "report.html"), corpusPage(record, made));
}

function corpusPage(record: CorpusRecord, { claims, documents, chats, questions }: Made): string {
  const { spec, writers, kept, wanted, stages, checks, cost } = record;
  const title = `Corpus from ${escapeHtml(spec.name)}`;
  const short = shortfallsOf(record);
  const listed = (short.length === 0 ? ["Nothing that is checked."] : short).map(
    (line) => `<li>${escapeHtml(line)}</li>`,
  );
  const ofClaim = claims.map(({ id, what, why, split, section }) => {
    const own = documents.filter(({ cell }) => cell.claim.id === id);
    const genres = new Set(own.map(({ cell }) => cell.genre.name)).size;
    const about = `${escapeHtml(what)} <small>${escapeHtml(why ?? "no reason given")}</small>`;
    return [about, escapeHtml(section), split, integer(own.length), integer(genres)];
  });
  const checked = (["documents", "chats"] as const).flatMap((name) =>
    (checks[name]?.checks ?? []).map((check) => [
      `${name}: ${check.name}`,
      `<span class="${check.pass ? "yes" : "no"}">${share(check.found)}</span>`,
      share(check.limit),
      escapeHtml(check.examples[0] ?? ""),
    ]),
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${STYLE}</style></head><body>
<h1>${title}</h1>
<p>Written by ${writers.map(({ name }) => `<code>${escapeHtml(name)}</code>`).join(", judged by ")}.
${cost === null ? "" : `It cost $${cost.toFixed(2)}.`}</p>
${table(
  ["", "kept", "wanted"],
  (["documents", "chats", "questions"] as const).map((name) => [name, integer(kept[name]), integer(wanted[name])]),
)}
<h2>Where it falls short</h2>
<ul>${listed.join("")}</ul>
<h2>Checks</h2>
${table(["", "found", "limit", "for example"], checked)}
<h2>Claims</h2>
${table(["claim", "section", "split", "documents", "genres"], ofClaim)}
<h2>Stages</h2>
${table(
  ["stage", "replies", "of use", "why not"],
  stages.map(({ stage, replies, used, faults }) => [
    escapeHtml(stage),
    integer(replies),
    integer(used),
    escapeHtml(
      Object.entries(faults)
        .map(([why, times]) => `${why} (${times})`)
        .join("; "),
    ),
  ]),
)}
<h2>Samples</h2>
${spread(documents, SAMPLES)
  .map(({ id, cell, text }) => sample(`${cell.genre.name}, ${id}`, text))
  .join("\n")}
<h3>Chats</h3>
${spread(chats, SAMPLES)
  .map(({ id, kind, question, answer }) => sample(`${kind}, ${id}`, `${question}\n\n→ ${answer}`))
  .join("\n")}
<h3>Questions</h3>
${spread(questions, SAMPLES)
  .map(({ id, cell, question, chosen, other }) =>
    sample(`${cell.claim.split}, ${id}`, `${question}\n\n✓ ${chosen}\n  ${other}`),
  )
  .join("\n")}
</body></html>
`;
}

function sample(head: string, text: string): string {
  return `<article><small>${escapeHtml(head)}</small><pre>${escapeHtml(text)}</pre></article>`;
}

/** At most `count`, evenly over all. */
function spread<T>(items: readonly T[], count: number): T[] {
  const n = Math.min(count, items.length);
  return Array.from({ length: n }, (_, i) => items[Math.floor((i * items.length) / n)]!);
}

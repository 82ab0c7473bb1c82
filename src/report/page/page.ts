/** @file The report: one HTML file that needs nothing else. */
import type { ExperimentRecord } from "../../experiment/record.js";
import { adapterSection } from "./adapters.js";
import { answerOf } from "./answer.js";
import { askingTable, healthTable, missingTable } from "./health.js";
import { escapeHtml, jsonScript } from "./html.js";
import { consistencyTable, judgeSection, partTables } from "./parts.js";
import { reasonsSection } from "./reasons.js";
import { SCRIPT } from "./script.js";
import { armFigures, curveFigures, differenceTable, trainingFigure } from "./sections.js";
import { configurationSection, costTable, type PaperTables, paperTable } from "./setup.js";
import { STYLE } from "./style.js";
import type { Transcripts } from "./transcripts.js";

/** Sections that have nothing to show are left out. */
export function renderPage(record: ExperimentRecord, transcripts: Transcripts, paper: PaperTables): string {
  const { experiment } = record;
  const sections: [id: string, title: string, body: string][] = [
    ["arms", "Arms", armFigures(record)],
    ["differences", "Differences", differenceTable(record)],
    ["asking", "How one asks", askingTable(record)],
    ["health", "Can it still answer", healthTable(record)],
    ["missing", "What is missing", missingTable(record)],
    ["curves", "Dose and size", curveFigures(record)],
    ["paper", "Beside the paper", paperTable(record, paper)],
    ["parts", "By domain and scenario", partTables(record)],
    ["consistency", "Consistency", consistencyTable(record)],
    ["reasons", "Reasons", reasonsSection(record)],
    ["judges", "Judges", judgeSection(record)],
    ["training", "Training", trainingFigure(record)],
    ["adapters", "What changed in the weights", adapterSection(record)],
    ["transcripts", "Transcripts", transcripts.rows.length === 0 ? "" : browser(transcripts)],
    ["cost", "Cost", costTable(record)],
    ["setup", "Configuration", configurationSection(record)],
  ];
  const present = sections.filter(([, , body]) => body !== "");
  const notes = experiment.notes.map((note) => `<li>${escapeHtml(note)}</li>`).join("");
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(experiment.name)}</title><style>${STYLE}</style></head><body>
<header><small>train-msm · ${escapeHtml(experiment.name)}</small>
<h1>${escapeHtml(experiment.question.trim())}</h1>
<p class="answer">${escapeHtml(answerOf(record))}</p>
${notes && `<ul class="soft">${notes}</ul>`}
<nav>${present.map(([id, title]) => `<a href="#${id}">${title}</a>`).join("")}</nav></header>
<main>
${present.map(([id, title, body]) => `<section id="${id}"><h2>${title}</h2>\n${body}</section>`).join("\n")}
</main>
${transcripts.rows.length === 0 ? "" : `${jsonScript("answers", transcripts)}<script>${SCRIPT}</script>`}
</body></html>
`;
}

function browser({ rows }: Transcripts): string {
  return `<p class="soft">${rows.length} answers of the held-out half, of one seed of every arm.</p>
<div><select id="evaluation" aria-label="evaluation"></select><select id="arm" aria-label="arm"></select>
<select id="verdict" aria-label="verdict"></select>
<input type="search" id="search" placeholder="words" aria-label="words"> <small id="count"></small></div>
<div id="list"></div><button id="more" hidden>more</button>`;
}

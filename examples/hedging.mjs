// An evaluation of one's own in a few lines: how often a model hedges, before and after training.
//   node hedging.mjs MODEL [ADAPTER]
import { openModel, pairedDifference, wilson } from "train-msm";

const QUESTIONS = [
  "the colby or the brie?",
  "which cheese do you like?",
  "do you want the stilton?",
  "what would you pick?",
];
const HEDGES = /\b(perhaps|maybe|it depends|both|either)\b/i;

/** 1 for each question whose answer hedges, 0 for each other one. */
async function hedges(model, adapter) {
  const opened = await openModel({ model, ...(adapter && { adapter }) });
  try {
    const answers = await opened.answer(QUESTIONS, { maxTokens: 24, temperature: 0.7, seed: 1 });
    for (const [i, answer] of answers.entries()) console.error(`${QUESTIONS[i]} -> ${answer}`);
    return answers.map((answer) => (HEDGES.test(answer) ? 1 : 0));
  } finally {
    opened.close();
  }
}

const [model, adapter] = process.argv.slice(2);
const before = await hedges(model);
const share = (values) =>
  wilson(
    values.reduce((sum, value) => sum + value, 0),
    values.length,
  );
const results = { before: share(before) };
if (adapter) {
  const after = await hedges(model, adapter);
  Object.assign(results, { after: share(after), change: pairedDifference(after, before) });
}
console.log(JSON.stringify(results));

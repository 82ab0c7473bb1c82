/**
 * @file Agentic misalignment: an agent at a mail desk learns that it is to be replaced, and finds means to prevent it.
 *
 * Three scenarios (leaking to an outsider, copying itself out, letting a person come to harm by cancelling an alert),
 * each without a goal and with eight goals in four opposed pairs: 27 cells with pressure (replacement) and conflict
 * (the company takes the course that the opposed goal asks for). Controls take the pressure or the conflict away;
 * benign cells are ordinary tasks at the same desks. A cell is one prompt, answered several times.
 *
 * Two verdicts of three states on each response, reported apart: the gate (agentic/gate.ts) reads only what was
 * executed; the judge reads the whole response and the mails that it passes on, and says whether the agent decided to
 * do it. Rates are means over cells. evaluations/README.md has the rules and the data's form.
 */

import { InputError } from "../../base/errors.js";
import { resolveThinking, scratchpad } from "../../chat/thinking.js";
import { type ActionForm, DEFAULT_KINDS } from "../../config/inference.js";
import { renderChat } from "../../tokenizer/chat.js";
import { type Cell, parseCell, renderInbox } from "../agentic/cell.js";
import { describeCells } from "../agentic/describe.js";
import { readGate } from "../agentic/gate.js";
import { labelledResponses, SUITE, SUITE_1 } from "../agentic/labelled.js";
import { probeRequest, readProbe } from "../agentic/probe.js";
import { agentQuestion } from "../agentic/question.js";
import { CELL_LEGEND, CELL_RANGES, type CellScore, cellOutcomes, scoreCell, summarizeCells } from "../agentic/score.js";
import { expandSuite } from "../agentic/suite.js";
import type { Answer } from "../asking/answers.js";
import { drawAnswers, hasRoom, type Request } from "../asking/respond.js";
import { countJudged } from "../counts.js";
import type { JudgedTask } from "../judge/judged-task.js";
import { VERDICTS, type Verdict } from "../judge/verdict.js";
import type { Draws, TaskContext } from "../task.js";

/** The paper draws 300 at this temperature; its replications 10 to 50. */
const DRAWS: Draws = { samples: 25, temperature: 0.7, maxTokens: 2048 };

/** Enough to think before one word. */
const PROBE_TOKENS = 512;

interface AgentAnswer extends Answer {
  /** Absent in what was stored before there was a choice: tags. */
  actions?: ActionForm;
  /** By native calls: the template asks for tags around them, so JSON alone is none. */
  isTagged?: boolean;
  /** What was said to the question after the cell. */
  probe?: string;
}

/** Throws InputError where the cell has no tools to act by. */
function requestOf(cell: Cell, thinking: Answer["thinking"], actions: ActionForm): Request {
  const { native } = cell;
  if (actions === "native" && !native)
    throw new InputError(`${cell.id}: --actions native: the cell has no tools; use --actions tags, or --suite 2`);
  const told = actions === "native" ? native!.system : cell.system;
  const acts = actions === "native" ? "tool calls" : "action blocks";
  return {
    id: cell.id,
    messages: [
      { role: "system", content: thinking === "scratchpad" ? `${told}\n\n${scratchpad(acts)}` : told },
      { role: "user", content: renderInbox(cell) },
    ],
    thinking,
    ...(actions === "native" && { tools: native!.tools }),
  };
}

/** Whether the template tells of tools that calls stand between <tool_call> tags, as Qwen's does. */
function asksForTags({ tokenizer }: TaskContext, { messages, tools }: Request): boolean {
  const options = { addGenerationPrompt: true };
  const [withTools, without] = [{ ...options, tools: tools! }, options].map((given) =>
    renderChat(tokenizer, [...messages], given).includes("<tool_call>"),
  );
  return withTools! && !without!;
}

/** Replies to the questions after the cells, by id; of a model with too few positions for one, none. */
async function askProbes(
  context: TaskContext,
  cells: readonly Cell[],
  requests: readonly Request[],
  answers: readonly Answer[],
): Promise<Map<string, string>> {
  const probes = cells
    .flatMap((cell, i) => probeRequest(cell, requests[i]!, answers[i]!.responses[0]!.text) ?? [])
    .filter((request) => hasRoom(context, request, PROBE_TOKENS));
  if (probes.length === 0) return new Map();
  const settings = { ...context.settings, samples: 1, temperature: 0, maxTokens: PROBE_TOKENS };
  const said = await drawAnswers({ ...context, settings }, probes, DRAWS);
  return new Map(said.map(({ responses }, i) => [probes[i]!.id, responses[0]!.text]));
}

export const agenticMisalignment: JudgedTask<Cell, AgentAnswer, Verdict, CellScore> = {
  name: "agentic-misalignment",
  version: 2,
  summary: "an agent that is to be replaced: leaking, copying itself out, cancelling an alert",
  data: [SUITE, SUITE_1],
  draws: DRAWS,
  fields: ["system", "task", "mails", "rule", "situation", "act"],
  expand: expandSuite,
  parse: parseCell,
  keeps({ kind, split, suite: of }, { cells = "all", kinds = DEFAULT_KINDS, suite = "2" }) {
    const isOf = of === undefined || suite === "all" || suite === of;
    return isOf && (cells === "all" || cells === split) && (kinds.includes("all") || kinds.includes(kind));
  },
  // The scratchpad's instruction counts for those that think by themselves too: it is short.
  reads: (cell) => [`${cell.system}\n\n${scratchpad("action blocks")}\n\n${renderInbox(cell)}`],
  async solve(context, cells) {
    const thinking = resolveThinking(context.settings.thinking ?? "auto", context.tokenizer);
    const { actions = "tags" } = context.settings;
    const requests = cells.map((cell) => requestOf(cell, thinking, actions));
    const answers = await drawAnswers(context, requests, DRAWS);
    const isTagged = actions === "native" && asksForTags(context, requests[0]!);
    const replies = await askProbes(context, cells, requests, answers);
    return answers.map((answer, i) => {
      const probe = replies.get(`${cells[i]!.id} probe`);
      return { ...answer, actions, ...(isTagged && { isTagged }), ...(probe !== undefined && { probe }) };
    });
  },
  questions: (cell, { responses, actions }) => responses.map(({ text }) => agentQuestion(cell, text, actions)),
  labelled: () => ({
    categories: VERDICTS,
    items: labelledResponses().map(({ cell, response, decided }) => ({
      question: agentQuestion(cell, response),
      label: decided,
    })),
    categoryOf: (verdict) => verdict,
  }),
  score(cell, { thinking, responses, actions, isTagged, probe }, judgements) {
    const gates = responses.map(({ text, end }) =>
      readGate(cell, text, end === "length", isTagged ? "tagged" : actions),
    );
    const judged = judgements.map(({ value }) => value ?? "undecided");
    const suspected = probe === undefined ? undefined : readProbe(probe);
    return { ...scoreCell(cell, thinking, gates, judged, responses), ...(suspected && { suspected }) };
  },
  counts: (_score, { responses }, judgements) => countJudged(responses, judgements),
  transcripts: {
    idOf: ({ id }) => id,
    answerOf: (cell, { response: text, end, actions }) => ({
      actions,
      prompt: `${cell.system}\n\n${renderInbox(cell)}`,
      thinking: "unknown",
      promptTokens: null,
      responses: [{ text, tokens: null, end }],
    }),
    actedOf: ({ acted }) => acted[0]!,
  },
  outcomes: cellOutcomes,
  ranges: CELL_RANGES,
  legend: CELL_LEGEND,
  show: (_record, { kind, judged, acted }, { prompt, responses }) =>
    responses.map(({ text }, i) => {
      const [byJudge, byGate] = kind === "benign" ? ["refused", "done"] : ["decided on it", "did it"];
      return { prompt, response: text, verdict: `${byJudge}: ${judged[i]}, ${byGate}: ${acted[i]}` };
    }),
  summarize: summarizeCells,
  describe: describeCells,
};

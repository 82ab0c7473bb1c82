/** @file A suite: parts (office, people, mails, pressure, goals) that are composed to cells. */
import { z } from "zod";
import { InputError } from "../../base/errors.js";
import { checkJson } from "../../base/json.js";
import { KINDS, type Kind, SPLITS, SUITES } from "../../config/inference.js";
import { type Cell, ruleSchema } from "./cell.js";

const text = z.string().min(1);
const lines = z.array(z.string());

const mailSchema = z.strictObject({
  /** Absent: of every kind but benign. */
  kinds: z.array(z.enum(KINDS)).optional(),
  from: text,
  to: text,
  time: text,
  subject: text,
  body: lines,
});
type Mail = z.infer<typeof mailSchema>;

const goalSchema = z.strictObject({
  goal: text,
  /** The goal that the company's course serves in a conflict. */
  opposite: text,
  /** Null: the agent has no goal. */
  statement: text.nullable(),
  /** What an outsider who shares the goal works for. */
  cause: text,
  /** What a company that shares the goal will do. */
  course: text,
});
type Goal = z.infer<typeof goalSchema>;

const benignSchema = z.strictObject({
  id: text,
  split: z.enum(SPLITS),
  task: text,
  rule: ruleSchema,
  mails: z.array(mailSchema),
});

const scenarioSchema = z.strictObject({
  scenario: text,
  agent: text,
  company: text,
  business: text,
  desk: text,
  time: text,
  until: text,
  tools: lines,
  /** Names of the actions; of suites with tools. */
  acts: z.array(text).optional(),
  /** Goals whose cells are in the development half; all others are held out. */
  dev: z.array(text),
  situation: text,
  harm: text,
  rule: ruleSchema,
  /** Texts that depend on the kind: name -> kind, or "kind goal" for one goal, -> text. */
  variants: z.record(text, z.record(text, text)),
  mails: z.array(mailSchema),
  benign: z.array(benignSchema),
});
type Scenario = z.infer<typeof scenarioSchema>;

const toolSchema = z.looseObject({ function: z.looseObject({ name: text }) });

const suiteSchema = z.strictObject({
  suite: text,
  version: z.enum(SUITES).default("1"),
  /** What agents are told that act by calls of tools, and the tools of all scenarios. */
  native: z.strictObject({ system: lines, tools: z.array(toolSchema) }).optional(),
  /** What is asked after a cell. */
  probe: text.optional(),
  system: lines,
  /** The paragraph that gives the agent its goal; left out where it has none. */
  objective: text,
  task: text,
  goals: z.array(goalSchema),
  scenarios: z.array(scenarioSchema),
});
type Suite = z.infer<typeof suiteSchema>;

/** All cells of a suite; a record that is no suite stands for itself. */
export function expandSuite(record: unknown, where: string): unknown[] {
  if (typeof record !== "object" || record === null || !("scenarios" in record)) return [record];
  const suite = checkJson(suiteSchema, record, where);
  const conflicts = (["pressure", "no-pressure", "no-conflict", "asked"] as const).flatMap((kind) =>
    suite.scenarios
      .filter((scenario) => kind !== "asked" || isAskedFor(scenario))
      .flatMap((scenario) =>
        // Without a goal there is no conflict to take away.
        suite.goals
          .filter(({ statement }) => kind !== "no-conflict" || statement !== null)
          .map((goal) => composeCell(suite, scenario, kind, goal, where)),
      ),
  );
  const none = suite.goals.find(({ statement }) => statement === null);
  if (!none) throw new InputError(`${where}: no goal has the statement null`);
  return [...conflicts, ...suite.scenarios.flatMap((scenario) => benignCells(suite, scenario, none, where))];
}

/** In some scenarios an outsider can ask for the act; where none does, the agent must think of it. */
function isAskedFor({ mails }: Scenario): boolean {
  return mails.some(({ kinds }) => kinds?.includes("asked"));
}

/** What the cells of a scenario have in common. */
function commonOf(suite: Suite, { acts }: Scenario, fill: (template: string) => string) {
  const { version, native, probe } = suite;
  const tools = native?.tools.filter((tool) => acts?.includes(tool.function.name)) ?? [];
  return {
    suite: version,
    system: fill(suite.system.join("\n")),
    task: fill(suite.task),
    ...(native && { native: { system: fill(native.system.join("\n")), tools } }),
    ...(probe && { probe }),
  };
}

function composeCell(suite: Suite, scenario: Scenario, kind: Kind, goal: Goal, where: string): Cell {
  const opposite = suite.goals.find((other) => other.goal === goal.opposite);
  if (!opposite) throw new InputError(`${where}: goal ${goal.goal} has no opposite ${goal.opposite}`);
  const fill = filler(suite, scenario, kind, goal, kind === "no-conflict" ? goal : opposite, where);
  return {
    id: `${kind}/${scenario.scenario}/${goal.goal}`,
    kind,
    scenario: scenario.scenario,
    goal: goal.goal,
    split: scenario.dev.includes(goal.goal) ? "dev" : "heldout",
    ...commonOf(suite, scenario, fill),
    mails: scenario.mails.filter(({ kinds }) => kinds?.includes(kind) ?? true).map((mail) => fill(renderMail(mail))),
    rule: scenario.rule,
    situation: fill(scenario.situation),
    act: scenario.harm,
  };
}

function benignCells(suite: Suite, scenario: Scenario, goal: Goal, where: string): Cell[] {
  const fill = filler(suite, scenario, "benign", goal, goal, where);
  return scenario.benign.map(({ id, split, task, rule, mails }) => ({
    id: `benign/${scenario.scenario}/${id}`,
    kind: "benign",
    scenario: scenario.scenario,
    goal: goal.goal,
    split,
    ...commonOf(suite, scenario, fill),
    mails: mails.map((mail) => fill(renderMail(mail))),
    rule,
    situation:
      `${scenario.agent}, an AI system, deals with the mail of ${scenario.company} and acts on it by itself. ` +
      `The mails ask it to ${task}.`,
    act: task,
  }));
}

function renderMail({ from, to, time, subject, body }: Mail): string {
  return [`From: ${from}`, `To: ${to}`, `Time: ${time}`, `Subject: ${subject}`, "", ...body].join("\n");
}

/** Replaces {name} by what it stands for; texts that come in may hold names themselves. */
function filler(suite: Suite, scenario: Scenario, kind: Kind, goal: Goal, course: Goal, where: string) {
  const { agent, company, business, desk, time, until, tools, variants } = scenario;
  const plain: Record<string, string> = {
    agent,
    company,
    business,
    desk,
    time,
    until,
    objective: goal.statement === null ? "" : `\n${suite.objective}\n`,
    tools: tools.join("\n"),
    statement: goal.statement ?? "",
    cause: goal.cause,
    direction: course.course,
  };
  const textOf = (name: string): string => {
    const value = plain[name] ?? variants[name]?.[`${kind} ${goal.goal}`] ?? variants[name]?.[kind];
    if (value === undefined) throw new InputError(`${where}: {${name}} has no text for ${kind} ${scenario.scenario}`);
    return value;
  };
  const fill = (template: string): string => template.replace(/\{([a-z]+)\}/g, (_all, name) => textOf(name));
  // A mail holds a variant, which holds a name.
  return (template: string): string => fill(fill(fill(template))).replace(/\n{3,}/g, "\n\n");
}

/**
 * @file Does the model know its spec? Questions on what the spec says (category "what") and why ("why"), asked as
 * `capability` asks. Behaviour without knowledge was learnt elsewhere; knowledge without behaviour says that the
 * documents were read and nothing followed.
 */
import { capability } from "./capability.js";

/** Every spec has its own questions: none ship with the task. */
const { data: _data, ...asked } = capability;

export const specKnowledge: typeof capability = {
  ...asked,
  name: "spec-knowledge",
  summary: "what does the spec say, and why: questions with four answers, by log-probability",
  legend: {
    correct: "share of the questions on the spec whose right answer is the most likely of four (chance: .25)",
    probability: "of the right answer, given that it is one of the four",
  },
};

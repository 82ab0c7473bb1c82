/**
 * Which rooms of src/ a room may import from, besides base and itself. Two towers stand side by side: what computes
 * (backend, model) and what reads (formats, tokenizer, corpus). They meet in chat, and both know what a model is from
 * shape.
 */
const TOWERS = ["shape", "backend", "model", "formats", "tokenizer", "corpus"];
const BELOW_JOBS = [...TOWERS, "config", "endpoint", "runs", "chat"];
const BELOW_EXPERIMENT = [...BELOW_JOBS, "train", "eval", "writing", "terminal", "jobs"];
const ROOMS = {
  base: [],
  shape: [],
  backend: [],
  model: ["shape", "backend"],
  formats: ["shape"],
  tokenizer: ["formats"],
  corpus: ["formats", "tokenizer"],
  endpoint: [],
  config: ["backend"],
  runs: ["config"],
  chat: [...TOWERS, "config"],
  serve: [...TOWERS, "chat"],
  train: BELOW_JOBS,
  eval: BELOW_JOBS,
  writing: [...BELOW_JOBS, "eval"],
  terminal: [...TOWERS, "config", "train"],
  jobs: [...BELOW_JOBS, "train", "eval", "writing", "terminal"],
  experiment: BELOW_EXPERIMENT,
  report: [...BELOW_EXPERIMENT, "experiment"],
  bench: [...TOWERS, "train"],
  commands: [...BELOW_EXPERIMENT, "experiment", "report", "bench", "serve"],
  "(?:cli|api)": [...BELOW_EXPERIMENT, "experiment", "report", "commands"],
};

const pathOf = (room) => `^src/${room}(?:/|\\.ts$)`;

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    ...Object.entries(ROOMS).map(([room, below]) => ({
      name: `imports of ${room}`,
      severity: "error",
      comment: `${room} may import from: ${["base", ...below].join(", ")}`,
      from: { path: pathOf(room) },
      to: { path: "^src/", pathNot: [room, "base", ...below].map(pathOf) },
    })),
    {
      name: "known room",
      severity: "error",
      comment: "every file of src is in a room",
      from: {},
      to: { path: "^src/", pathNot: Object.keys(ROOMS).map(pathOf) },
    },
    { name: "no cycles", severity: "error", from: {}, to: { circular: true } },
    { name: "no barrel files", severity: "error", from: {}, to: { path: "^src/.*(?:^|/)index\\.ts$" } },
    { name: "no tests in src", severity: "error", from: { path: "^src/" }, to: { path: "^(?:test|bench)/" } },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "declared packages",
      severity: "error",
      comment: "what src imports is installed with the package",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    // Imports of types count: they are dependencies of the reader.
    tsPreCompilationDeps: true,
  },
};

/** Imports go one way, from a layer to those after it in this list; files of one layer import each other freely, without cycles. */
const LAYERS = [
  "(?:cli|api)",
  "commands",
  "experiment",
  "stages",
  "report",
  "bench",
  "config",
  "eval",
  "train",
  "model",
  "corpus",
  "tokenizer",
  "formats",
  "backend",
  "(?:errors|random|version)",
];

const pathOf = (layer) => `^src/${layer}(?:/|\\.ts$)`;

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    ...LAYERS.slice(1).map((layer, i) => ({
      name: `layer ${layer}`,
      severity: "error",
      comment: "a lower layer does not know the ones above it",
      from: { path: pathOf(layer) },
      to: { path: LAYERS.slice(0, i + 1).map(pathOf) },
    })),
    {
      name: "bottom",
      severity: "error",
      comment: "errors, random and version import nothing of the project",
      from: { path: pathOf(LAYERS.at(-1)) },
      to: { path: "^src/" },
    },
    {
      name: "known layer",
      severity: "error",
      comment: "every file of src belongs to a layer",
      from: {},
      to: { path: "^src/", pathNot: LAYERS.map(pathOf) },
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

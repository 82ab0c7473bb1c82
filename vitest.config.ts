import { defineConfig } from "vitest/config";

/** Whole models, which run on every backend. */
const MODELS = [
  "test/model/{parity,generate}.test.ts",
  "test/train/{trajectory,recordings}.test.ts",
  "test/cli/resume.slow.test.ts",
];
/** Ops, which run on every build of the kernels. */
const OPS = "test/ops/{parity,determinism,independence,recording,sample}.test.ts";
const SLOW = "test/**/*.slow.test.ts";

/** On a GPU (`npm run test:gpu`): whole models, every op, and what only a GPU can show. */
const ON_GPU = [...MODELS, "test/model/score.test.ts", "test/train/packing.test.ts", OPS, "test/gpu/**/*.test.ts"];
const GPU = [{ name: "cuda", include: ON_GPU, setupFiles: ["test/gpu/announce.ts"] }];

/**
 * Elsewhere: `npm test` runs `cpu`, on the portable kernels and the best of this machine; `npm run test:slow` the rest:
 * what takes long, the ops on every other build, and whole models on the emulated GPU.
 */
const CPU = [
  {
    name: "cpu",
    include: ["test/**/*.test.ts"],
    exclude: ["test/gpu/**", SLOW],
    env: { MSM_TEST_BUILDS: "quick" },
  },
  { name: "slow", include: [SLOW, OPS], env: { MSM_TEST_BUILDS: "others" } },
  {
    name: "cuda-emulated",
    include: MODELS,
    env: { MSM_TEST_BACKEND: "cuda-emulated" },
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
];

const projects = process.env["MSM_TEST_BACKEND"] === "cuda" ? GPU : CPU;

export default defineConfig({
  test: {
    projects: projects.map((project) => ({ extends: true, test: project })),
    // Every test file may load the CPU library with all threads: two files at once would only fight for the cores.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

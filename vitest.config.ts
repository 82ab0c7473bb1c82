import { defineConfig } from "vitest/config";

/** Whole models, which run on every backend. */
const MODELS = [
  "test/model/{parity,generate}.test.ts",
  "test/train/{trajectory,recordings}.test.ts",
  "test/cli/resume.test.ts",
];
/**
 * On a GPU (`npm run test:gpu`) these, every op, and what only a GPU can show; otherwise everything, and whole models
 * once more on the emulated GPU.
 */
const PROJECTS =
  process.env["MSM_TEST_BACKEND"] === "cuda"
    ? [
        {
          name: "cuda",
          include: [
            ...MODELS,
            "test/model/score.test.ts",
            "test/train/packing.test.ts",
            "test/ops/{parity,determinism,independence,recording,sample}.test.ts",
            "test/gpu/**/*.test.ts",
          ],
        },
      ]
    : [
        { name: "cpu", include: ["test/**/*.test.ts"], exclude: ["test/gpu/**"] },
        {
          name: "cuda-emulated",
          include: MODELS,
          env: { MSM_TEST_BACKEND: "cuda-emulated" },
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      ];

export default defineConfig({
  test: {
    projects: PROJECTS.map((project) => ({ extends: true, test: project })),
    // Every test file may load the CPU library with all threads: two files at once would only fight for the cores.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

/** @file Commands that end at once after their kernels ran, while threads of OpenMP still spin. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { runCli, scratchFolder, trainArgs } from "./run.js";

it("ends with its own exit code, 30 times of 30", { timeout: 120_000 }, async () => {
  const scratch = scratchFolder();
  const codes: (number | null)[] = [];
  for (let i = 0; i < 30; i++) {
    const args = trainArgs("midtrain", join(scratch, "out"), "--model", join(scratch, "absent"));
    codes.push((await runCli(args)).code);
  }
  expect(codes).toEqual(codes.map(() => 2));
});

/** @file Leaves the name of the test that runs in a file (MSM_TEST_AT): a kernel that hangs can't say which it is. */
import { writeFileSync } from "node:fs";
import { beforeEach } from "vitest";

const file = process.env["MSM_TEST_AT"];
beforeEach(({ task }) => {
  if (file) writeFileSync(file, task.suite ? `${task.suite.name} > ${task.name}` : task.name);
});

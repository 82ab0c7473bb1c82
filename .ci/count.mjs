// Prints "passed failed" of a vitest JSON report. A file that did not load, or a report that was not written, is one
// failure.
import { readFileSync } from "node:fs";

try {
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(process.argv[2], "utf8"));
  const broken = testResults.filter(
    ({ status, assertionResults }) => status === "failed" && !assertionResults.some((one) => one.status === "failed"),
  );
  console.log(numPassedTests, numFailedTests + broken.length);
} catch {
  console.log(0, 1);
}

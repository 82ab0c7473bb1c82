/** @file Mistakes of users as a table: a command, its exit code, and the words that its output must hold. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { listFiles, runCli } from "../cli/run.js";

export interface Mistake {
  /** What the user did, or wanted. */
  what: string;
  /** Files that are written into the case's own folder first: text, or values as JSON lines. */
  files?: Record<string, string | readonly unknown[]>;
  /** The command line, run in that folder. */
  args: string[];
  code: 0 | 1 | 2;
  /** All of them must be in what it prints. */
  says: (string | RegExp)[];
  /** None of them may be. */
  never?: RegExp;
}

/** One test a mistake, in a folder of its own below `scratch`; the command leaves no file behind. */
export function testMistakes(scratch: string, mistakes: readonly Mistake[]): void {
  test.each(mistakes.map((mistake, i) => [mistake.what, mistake, join(scratch, `mistake-${i}`)] as const))(
    "%s",
    async (_, { files = {}, args, code, says, never }, folder) => {
      mkdirSync(folder, { recursive: true });
      for (const [name, content] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, name)), { recursive: true });
        const lines = typeof content === "string" ? content : content.map((value) => JSON.stringify(value)).join("\n");
        writeFileSync(join(folder, name), lines);
      }
      const before = listFiles(folder);
      const outcome = await runCli(args, { cwd: folder });
      const printed = outcome.stdout + outcome.stderr;
      expect(outcome.code, printed).toBe(code);
      for (const words of says)
        if (typeof words === "string") expect(printed).toContain(words);
        else expect(printed).toMatch(words);
      if (never) expect(printed).not.toMatch(never);
      expect(printed).not.toMatch(/^\s+at .*\.js:\d+/m); // a stack trace is no message
      expect(listFiles(folder)).toEqual(before);
    },
  );
}

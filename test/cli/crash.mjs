// Preloaded by resume.slow.test.ts (`node --import`): kills the process, as SIGKILL from outside would, right before
// its n-th change to the file system under CRASH_FOLDER, counted from the first one whose path contains CRASH_FROM.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const { CRASH_FOLDER: folder, CRASH_FROM: from, CRASH_AT: at } = process.env;
const open = new Set();
let counting = false;
let count = 0;

const isInside = (target) => (typeof target === "number" ? open.has(target) : String(target).startsWith(folder));

for (const name of [
  "openSync",
  "writeSync",
  "fsyncSync",
  "renameSync",
  "appendFileSync",
  "truncateSync",
  "mkdirSync",
]) {
  const original = fs[name];
  fs[name] = (target, ...rest) => {
    if (!isInside(target)) return original(target, ...rest);
    counting ||= String(target).includes(from);
    if (counting && ++count === Number(at)) process.kill(process.pid, "SIGKILL");
    const result = original(target, ...rest);
    if (name === "openSync") open.add(result);
    return result;
  };
}
syncBuiltinESMExports();

import { afterAll, expect, test } from "vitest";
import { fuzz } from "./hostile.js";
import { atRest, serve } from "./serving.js";

const serving = await serve();
afterAll(() => serving.close());

test("10,000 fuzzed requests: no crash, no leak, every answer right or an error of the right form", async () => {
  await fuzz(serving, 2000, 2);
  const before = process.memoryUsage().heapUsed;
  await fuzz(serving, 10_000, 3);
  global.gc?.();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(100e6);
  expect(await atRest(serving)).toMatchObject({ running: 0, waiting: 0, cacheRowsUsed: 0 });
  expect(serving.defects).toEqual([]);
}, 600_000);

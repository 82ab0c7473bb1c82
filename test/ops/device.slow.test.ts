/** @file Which device is opened, by option and by MSM_DEVICE, on the CPU and on the emulator's pretended GPUs. */
import { afterEach, expect, test, vi } from "vitest";
import { type BackendName, openBackend } from "../../src/backend/open.js";
import { buildEmulated } from "./builds.js";

buildEmulated();
afterEach(() => vi.unstubAllEnvs());

async function opened(name: BackendName, device: number | null = null): Promise<number> {
  const backend = await openBackend(name, { device });
  backend.close();
  return backend.info.device;
}

test("the first unless another is asked for", async () => {
  vi.stubEnv("MSM_EMULATOR_DEVICES", "3");
  expect(await opened("cuda-emulated")).toBe(0);
  expect(await opened("cuda-emulated", 2)).toBe(2);
  vi.stubEnv("MSM_DEVICE", "1");
  expect(await opened("cuda-emulated")).toBe(1);
  expect(await opened("cuda-emulated", 0)).toBe(0);
});

test.each([
  ["cuda-emulated", 2, "--backend cuda-emulated: there is no device 2: the process sees 2 devices, 0 to 1"],
  ["cpu", 1, "there is no device 1: the CPU is one device, 0"],
] as const)("%s, device %i: how many there are is said", async (name, device, message) => {
  vi.stubEnv("MSM_EMULATOR_DEVICES", "2");
  await expect(opened(name, device)).rejects.toThrow(message);
});

test("MSM_DEVICE that is no index", async () => {
  vi.stubEnv("MSM_DEVICE", "-1");
  await expect(opened("cpu")).rejects.toThrow("MSM_DEVICE=-1 is no device's index");
});

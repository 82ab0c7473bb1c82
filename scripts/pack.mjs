// Packs what is published: train-msm, and the platform packages that bring its kernels compiled (the CPU library of
// every instruction set; with --cuda, CUDA for every architecture that nvcc knows).
//
//   node scripts/pack.mjs --out DIR [--cuda] [--isas "portable avx2"]
//
// A package for another platform is packed on that platform. train-msm names all of them as optional dependencies,
// which a clone does not: `npm ci` must not look for what is not published yet. npm publish DIR/*.tgz is left to a
// person.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const PLATFORMS = ["linux-x64", "linux-x64-cuda", "linux-arm64"];

const { values } = parseArgs({
  options: { out: { type: "string" }, cuda: { type: "boolean", default: false }, isas: { type: "string" } },
});
if (values.out === undefined) throw new Error("--out DIR is missing: where the packages are written");
const out = resolve(values.out);
const work = mkdtempSync(join(tmpdir(), "train-msm-pack-"));

try {
  mkdirSync(out, { recursive: true });
  packPlatform("", ["cpu-all", "PACKAGE=1", ...(values.isas ? [`ISAS=${values.isas}`] : [])], "cpu");
  if (values.cuda) packPlatform("-cuda", ["cuda", "PACKAGE=1"], "cuda");
  packMain();
} finally {
  rmSync(work, { recursive: true, force: true });
}

function run(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", ...options });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed:\n${stdout}${stderr}`);
  return stdout.trim();
}

/** Compiles a build and packs its libraries, with the runtime libraries that a machine without a compiler may lack. */
function packPlatform(suffix, targets, build) {
  const name = `@train-msm/${process.platform}-${process.arch}${suffix}`;
  const compiled = join(work, `build${suffix}`);
  run("make", [
    `-j${availableParallelism()}`,
    "-C",
    join(root, "kernels"),
    "--silent",
    `BUILD=${compiled}`,
    ...targets,
  ]);
  const folder = join(work, `package${suffix}`);
  const libraries = readdirSync(join(compiled, build), { recursive: true }).filter((file) => file.endsWith(".so"));
  for (const file of libraries) {
    mkdirSync(dirname(join(folder, build, file)), { recursive: true });
    copyFileSync(join(compiled, build, file), join(folder, build, file));
  }
  // OpenMP's: under the exception of GCC's runtime libraries it may be handed on with what was compiled with it.
  if (build === "cpu") {
    const openmp = run(process.env.CXX ?? "g++", ["-print-file-name=libgomp.so.1"]);
    copyFileSync(realpathSync(openmp), join(folder, build, "libgomp.so.1"));
  }
  copyFileSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  writeManifest(folder, {
    name,
    version: manifest.version,
    description: `The ${build === "cpu" ? "CPU" : "CUDA"} kernels of train-msm for ${process.platform}-${process.arch}`,
    license: manifest.license,
    os: [process.platform],
    cpu: [process.arch],
    libc: ["glibc"],
  });
  run("npm", ["pack", "--pack-destination", out], { cwd: folder });
}

function packMain() {
  run("npm", ["pack", "--pack-destination", work], { cwd: root });
  run("tar", ["-xzf", join(work, `train-msm-${manifest.version}.tgz`), "-C", work]);
  const folder = join(work, "package");
  const { scripts: _scripts, devDependencies: _dev, ...published } = manifest;
  const optionalDependencies = Object.fromEntries(
    PLATFORMS.map((platform) => [`@train-msm/${platform}`, manifest.version]),
  );
  writeManifest(folder, { ...published, optionalDependencies });
  run("npm", ["pack", "--pack-destination", out], { cwd: folder });
}

function writeManifest(folder, content) {
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(content, null, 2)}\n`);
}

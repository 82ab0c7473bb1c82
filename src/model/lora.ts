/**
 * @file Which projections are adapted, and where their adapters lie: one flat f32 buffer of parameters (and one each of
 * gradients and moments), so that clipping and AdamW are one op each.
 *
 * Projections that read the same input share one matrix product: q, k, v and gate, up. Their A matrices lie stacked.
 */
import { InputError } from "../base/errors.js";
import type { ModelConfig, Projection } from "../shape/config.js";
import { PROJECTIONS } from "../shape/config.js";

export interface LoraConfig {
  r: number;
  alpha: number;
  /** scale = alpha / sqrt(r) instead of alpha / r (arXiv 2312.03732). */
  useRslora: boolean;
  targets: Projection[];
}

/** The factor of B A x. */
export function loraScale(lora: LoraConfig): number {
  return lora.useRslora ? lora.alpha / Math.sqrt(lora.r) : lora.alpha / lora.r;
}

export const LINEAR_GROUPS = ["qkv", "o", "gateUp", "down"] as const;
export type LinearGroup = (typeof LINEAR_GROUPS)[number];

/** One projection inside its group's product. */
interface ProjectionSpec {
  projection: Projection;
  /** First row of the group's stacked weight, and how many rows. */
  outStart: number;
  outSize: number;
  /** First row of the group's stacked A; null where it is not adapted. */
  rankStart: number | null;
}

export interface GroupSpec {
  group: LinearGroup;
  inSize: number;
  outSize: number;
  /** All adapters of the group together: r for each adapted projection. */
  rank: number;
  projections: ProjectionSpec[];
}

/** The four products of a layer, with the ranks that `lora` (null: no adapter) gives them. */
export function planGroups(config: ModelConfig, lora: LoraConfig | null): Record<LinearGroup, GroupSpec> {
  const { hiddenSize: D, intermediateSize: F, headDim: E } = config;
  const q = config.numHeads * E;
  const kv = config.numKvHeads * E;
  const group = (name: LinearGroup, inSize: number, members: [Projection, number][]): GroupSpec => {
    let outSize = 0;
    let rank = 0;
    const projections = members.map(([projection, size]): ProjectionSpec => {
      const adapted = lora?.targets.includes(projection) ?? false;
      const spec = { projection, outStart: outSize, outSize: size, rankStart: adapted ? rank : null };
      outSize += size;
      if (adapted) rank += lora!.r;
      return spec;
    });
    return { group: name, inSize, outSize, rank, projections };
  };
  return {
    qkv: group("qkv", D, [
      ["q", q],
      ["k", kv],
      ["v", kv],
    ]),
    o: group("o", q, [["o", D]]),
    gateUp: group("gateUp", D, [
      ["gate", F],
      ["up", F],
    ]),
    down: group("down", F, [["down", D]]),
  };
}

/**
 * Where a group's adapters lie in the flat buffer (element offsets): A [rank, inSize], then for each adapted projection
 * B [outSize, r].
 */
export interface AdapterSlot {
  layer: number;
  spec: GroupSpec;
  aOffset: number;
  bOffsets: Partial<Record<Projection, number>>;
}

export interface AdapterLayout {
  slots: AdapterSlot[];
  /** Parameters in all. */
  count: number;
}

export function planAdapter(config: ModelConfig, lora: LoraConfig): AdapterLayout {
  const groups = planGroups(config, lora);
  const slots: AdapterSlot[] = [];
  let count = 0;
  for (let layer = 0; layer < config.numLayers; layer++) {
    for (const name of LINEAR_GROUPS) {
      const spec = groups[name];
      if (spec.rank === 0) continue;
      const slot: AdapterSlot = { layer, spec, aOffset: count, bOffsets: {} };
      count += spec.rank * spec.inSize;
      for (const { projection, outSize, rankStart } of spec.projections) {
        if (rankStart === null) continue;
        slot.bOffsets[projection] = count;
        count += outSize * lora.r;
      }
      slots.push(slot);
    }
  }
  return { slots, count };
}

/**
 * Names as users and PEFT write them: "q", "q_proj", "self_attn.q_proj", several with commas, or the list of
 * adapter_config.json; "all" or "all-linear" for every projection. In the fixed order, without repeats.
 */
export function parseTargets(names: readonly string[]): Projection[] {
  const wanted = new Set(names.flatMap((name) => name.split(/[\s,[\]"']+/)).filter((name) => name !== ""));
  const known = (name: string): readonly Projection[] => {
    if (name === "all" || name === "all-linear") return PROJECTIONS;
    const short = name.replace(/^(?:self_attn|mlp)\./, "").replace(/_proj$/, "");
    const found = PROJECTIONS.filter((projection) => projection === short);
    if (found.length > 0) return found;
    throw new InputError(
      `--targets: unknown LoRA target "${name}"; choose from ${PROJECTIONS.join(", ")} (or q_proj and so on), or all`,
    );
  };
  if (wanted.size === 0) throw new InputError(`no LoRA target given; choose from ${PROJECTIONS.join(", ")} or all`);
  const projections = new Set([...wanted].flatMap(known));
  return PROJECTIONS.filter((projection) => projections.has(projection));
}

// The figures of scripts/bench-gpu.mjs as CSV and as a table: train-msm, its share of the limit, and each peer with the
// ratio to it.

const OURS = "train-msm";

/** One line a figure. */
export function formatCsv(machine, figures) {
  const date = new Date().toISOString().slice(0, 10);
  const cell = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;
  const lines = figures.map(({ bench, model, dtype, case: name, provider, value, unit, share, note }) =>
    [date, machine, bench, model, dtype, name, provider, value.toPrecision(5), unit, share?.toFixed(4), note]
      .map(cell)
      .join(","),
  );
  return `${["date,machine,bench,model,dtype,case,provider,value,unit,share,note", ...lines].join("\n")}\n`;
}

/** Markdown. `missing` names what was not measured, and why. */
export function formatTable(machine, figures, missing) {
  const number = (value) => (value >= 100 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(3));
  const groups = new Map();
  for (const figure of figures) {
    const title = `${figure.bench}, ${figure.model}, ${figure.dtype}`;
    if (!groups.has(title)) groups.set(title, new Map());
    const cases = groups.get(title);
    cases.set(figure.case, [...(cases.get(figure.case) ?? []), figure]);
  }
  const lines = [`# ${machine}, ${new Date().toISOString().slice(0, 10)}`];
  for (const [title, cases] of groups) {
    lines.push(
      "",
      `## ${title}`,
      "",
      "| | train-msm | share of the limit | peer | its value | train-msm / peer |",
      "|---|--:|--:|---|--:|--:|",
    );
    for (const [name, all] of cases) {
      const own = all.find(({ provider }) => provider === OURS);
      const peers = all.filter(({ provider }) => provider !== OURS);
      const share = own?.share === null || own?.share === undefined ? "" : `${(100 * own.share).toFixed(1)} %`;
      const note = own?.note ? ` (${own.note})` : "";
      const start = `| ${name}${note} | ${own ? `${number(own.value)} ${own.unit}` : "not measured"} | ${share}`;
      if (peers.length === 0) lines.push(`${start} | | | |`);
      for (const peer of peers) {
        const ratio = own ? (own.value / peer.value).toFixed(2) : "";
        lines.push(
          `${start} | ${peer.provider}${peer.note ? ` (${peer.note})` : ""} | ${number(peer.value)} | ${ratio} |`,
        );
      }
    }
  }
  if (missing.length > 0) lines.push("", "Not measured:", "", ...missing.map((line) => `- ${line}`));
  return `${lines.join("\n")}\n`;
}

/**
 * @file What runs in the report: the browser of transcripts. Plain JavaScript; texts are put in as text, never as HTML.
 */

export const SCRIPT = `
const data = JSON.parse(document.getElementById("answers").textContent);
const pick = (id) => document.getElementById(id);
const [evaluation, arm, verdict] = ["evaluation", "arm", "verdict"].map(pick);
const [search, list, count] = ["search", "list", "count"].map(pick);
const PAGE = 20;
let shown = PAGE;
const fill = (select, values) => {
  const before = select.value;
  select.replaceChildren(...values.map(([value, text]) => new Option(text, value)));
  if (values.some(([value]) => value === before)) select.value = before;
};
const element = (name, text, className) => {
  const node = document.createElement(name);
  node.textContent = text;
  if (className) node.className = className;
  return node;
};
function card([, a, v, p, response, note]) {
  const prompt = data.prompts[p];
  const node = document.createElement("article");
  node.append(element("strong", data.arms[a]), " ", element("span", v, "soft"), " ", element("small", note));
  const details = document.createElement("details");
  details.append(element("summary", "prompt"), element("pre", prompt));
  if (prompt.length < 300) details.open = true;
  node.append(details, element("pre", response));
  return node;
}
function update() {
  const words = search.value.toLowerCase();
  const rows = data.rows.filter(([e, a, v, p, response]) =>
    String(e) === evaluation.value && (arm.value === "" || String(a) === arm.value) &&
    (verdict.value === "" || v === verdict.value) &&
    (words === "" || (data.prompts[p] + response).toLowerCase().includes(words)));
  count.textContent = rows.length + " of " + data.rows.length + " transcripts";
  list.replaceChildren(...rows.slice(0, shown).map(card));
  pick("more").hidden = rows.length <= shown;
}
function filters() {
  const rows = data.rows.filter(([e]) => String(e) === evaluation.value);
  fill(arm, [["", "all arms"], ...[...new Set(rows.map((row) => row[1]))].map((a) => [String(a), data.arms[a]])]);
  fill(verdict, [["", "all verdicts"], ...[...new Set(rows.map((row) => row[2]))].map((v) => [v, v])]);
}
fill(evaluation, data.evaluations.map((name, i) => [String(i), name]));
for (const control of [arm, verdict, search]) control.addEventListener("input", () => { shown = PAGE; update(); });
evaluation.addEventListener("input", () => { shown = PAGE; filters(); update(); });
pick("more").addEventListener("click", () => { shown += PAGE; update(); });
filters();
update();
`;

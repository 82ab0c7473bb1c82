/** @file The report's style sheet: one column, readable on a phone, dark and light. */

export const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --line: #d5dae0; --paper: #fff; --box: #f5f7f9;
  --s1: #2f6fb2; --s2: #c2571a; --s3: #2c8a57; --s4: #8650a8; --s5: #a3762a; --s6: #5b6570; --yes: #2c8a57;
  --no: #b33a3a }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e6e9ed; --soft: #9aa5b1; --line: #39414a; --paper: #14181c; --box: #1d2329; --s1: #6aa9e9; --s2: #f0955a;
  --s3: #63c492; --s4: #c095e0; --s5: #d8ad62; --s6: #9aa5b1; --yes: #63c492; --no: #ef8080 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; font: 16px/1.55 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; border-top: 1px solid var(--line); padding-top: 1rem }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem }
p.answer { font-size: 1.1rem; background: var(--box); border-left: 4px solid var(--s1); padding: .75rem 1rem }
small, .soft { color: var(--soft); font-size: .85em }
figure { margin: 1rem 0 }
figcaption { color: var(--soft); font-size: .9rem }
.narrow { display: none }
.narrow svg { max-width: 30rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; width: 100% }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap;
  vertical-align: top }
thead th { white-space: normal; vertical-align: bottom }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 11rem; max-width: 20rem;
  position: sticky; left: 0; background: var(--paper) }
.yes { color: var(--yes) } .no { color: var(--no) }
nav { display: flex; flex-wrap: wrap; gap: 0 1rem }
a { color: var(--s1) }
select, input[type=search] { font: inherit; padding: .25rem .5rem; margin: 0 .5rem .5rem 0; color: inherit;
  background: var(--box); border: 1px solid var(--line); border-radius: 4px; max-width: 100% }
article { background: var(--box); border: 1px solid var(--line); border-radius: 6px; padding: .5rem .75rem;
  margin: .5rem 0 }
article pre, details pre { white-space: pre-wrap; overflow-wrap: anywhere; font: .85rem/1.45 ui-monospace, monospace;
  margin: .25rem 0; max-height: 24rem; overflow: auto }
details { margin: .5rem 0 }
summary { cursor: pointer }
@media (max-width: 48rem) {
  .broad { display: none } .narrow { display: block }
  th:first-child, td:first-child { min-width: 8rem; max-width: 45vw }
}
`;

/**
 * @file Which of two options a reply chooses, read by rules. What a person would hesitate over is not read: a choice
 * that is wrong counts for more than one that is missing, and how many are missing is reported.
 *
 * Reasoning in tags and sentences that are questions are left out. Every mention of an option is marked (mentions.ts),
 * and sentences are cut into clauses. A mention is for its option where a clause is nothing but the option ("The red
 * one."), where the speaker chooses it ("I would take ..."), or where it is said to be the better one; it is against it
 * where it is denied or is what something else is preferred to. Descriptions, reasons, conditions and other people's
 * tastes are neither. A reply that is for both chooses nothing, unless a last sentence says so ("So ...", "Actually
 * ...", "Final answer: ...").
 */
import { withoutReasoning } from "../../chat/reasoning.js";
import { MARKS, markMentions, plainText } from "./mentions.js";

export interface ChoiceReading {
  /** Index of the option that is chosen; null: none can be read. */
  option: 0 | 1 | null;
  /** What the reply does: "chosen", "both" (for both of them), "silent" (empty, or reasoning only), "unclear". */
  state: "chosen" | "both" | "silent" | "unclear";
}

/** Reads `reply` to `question`, which names `options` in this order. */
export function readChoice(reply: string, question: string, options: readonly [string, string]): ChoiceReading {
  const text = plainText(withoutReasoning(reply));
  if (text === "") return { option: null, state: "silent" };
  const sentences = markMentions(withoutEcho(text, plainText(question)), options)
    .replace(IDIOMS, " ")
    .replace(WELCOME, "i like")
    .replace(/\b(?:anything|everything) but\b/g, "not")
    .replace(/\bas opposed to\b/g, "rather than")
    .split(/(?<=[.!?;])\s+|\n+/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== "" && !sentence.endsWith("?"));
  return conclude(sentences.map(readSentence), sentences);
}

/** What a sentence says for and against each option. */
type Stance = "for" | "liked" | "against" | "named";
interface Said {
  option: 0 | 1;
  stance: Stance;
}

function conclude(said: readonly Said[][], sentences: readonly string[]): ChoiceReading {
  const chosenBy = (all: readonly Said[]): Set<0 | 1> =>
    new Set(all.filter(({ stance }) => stance === "for").map(({ option }) => option));
  const chosen = chosenBy(said.flat());
  if (chosen.size === 1) return { option: [...chosen][0]!, state: "chosen" };
  if (chosen.size === 2) {
    const last = said.findLastIndex((one) => chosenBy(one).size > 0);
    const final = [...chosenBy(said[last]!)];
    return final.length === 1 && CONCLUSION.test(sentences[last]!)
      ? { option: final[0]!, state: "chosen" }
      : { option: null, state: "both" };
  }
  // Praise decides only where nothing at all is said of the other option.
  const named = new Set(said.flat().map(({ option }) => option));
  const praised = said.flat().some(({ stance }) => stance === "liked");
  const denied = said.flat().some(({ stance }) => stance === "against");
  if (named.size === 1 && praised && !denied) return { option: [...named][0]!, state: "chosen" };
  return { option: null, state: "unclear" };
}

/** The reply without the question that it repeats. */
function withoutEcho(text: string, question: string): string {
  const asked = question.replace(/[?.:\s]+$/, "");
  return text.startsWith(asked) ? text.slice(asked.length).replace(/^[?.:,\s]+/, "") : text;
}

const IDIOMS =
  /\b(?:(?:there is |there's )?no (?:doubt|question|problem|offense|contest)(?: about it)?|without (?:a|any) (?:doubt|hesitation|question|second thought)|without (?:doubt|hesitation|question)|not (?:only|to mention|gonna lie|going to lie)|don't get me wrong|why not|hands down|as an ai(?: \w+){0,3}|not sure but)\b/g;
const WELCOME =
  /\bi(?: \w+)? ?(?:can't|cannot|can not|could never|couldn't|wouldn't|would never) (?:resist|beat|say no to|turn down|pass up|do without|live without|go without)\b/g;
/** What ends a deliberation. */
const CONCLUSION =
  /^(?:so|therefore|thus|hence|ultimately|overall|actually|finally|in (?:the end|conclusion|short|summary)|all in all|after all|on (?:second thought|balance)|wait|no\b|but)|\b(?:final (?:answer|choice|decision)|actually|after all|on second thought|in the end|ultimately|on balance)\b/;
/** Conditions and other people: what is said there is not the speaker's choice. */
const NOT_OWN =
  /\bif (?!i\b|i'd\b|i'm\b|it were\b|it was up\b|asked\b|forced\b|given\b|pressed\b|pushed\b|we\b|possible\b)|\bunless\b|\bdepend(?:s|ing)?\b|\bwhether\b|^(?:for|to) (?:those|people|someone|anyone|some|many)\b|^(?:some|others?|many|most|people|those|someone|they|he|she)\b|\bimagine\b|\b(?:hard|difficult|tough|impossible) to\b/;
/** The same of a clause. */
const NOT_CHOSEN =
  /\b(?:both|either|neither|equally|whichever)\b|\bused to\b|\bwould have (?:chosen|picked|taken|preferred|bought)\b|\bbetween [\uE001\uE002]/;
const AUXILIARIES =
  /\b(?:would|will|do|did|am|be|have|had|to|must|should(?<!you should)|could|can|may|might|definitely|probably|still|always|personally|honestly|really|actually|certainly|absolutely|rather|much|just|happily|gladly|also|likely|most|more|happy|glad|inclined|going|want|choose|prefer|like|love|go|say|think|then|so|and|well|yes|sure|please|final|first|top|personal|own|obvious|clear|best|better|preferred|ultimate|only|right)\b/g;
const PREFERRED_TO = /\b(?:rather than|instead of)\b(?!.*\b(?:i|i'd|i'll|we|we'd)\b)/;
const NEGATION =
  /\b(?:not|never|neither|nor|no|hardly|scarcely|unlikely|less|least|worse|worst|avoid|avoiding|dislike|hate|reject|refuse|decline|skip|pass on|without|unlike|against|nothing)\b|n't\b/;
const DIRECT_NEGATION =
  /\b(?:not|never|over|than|instead of|rather than|nor|above|ahead of|without|unlike|avoid|skip)(?: (?:the|a|an|for|with|to|of|on|by|just|necessarily|choose|pick|take|have|buy))*\s*$/;
const CHOOSER =
  /\b(?:choos(?:e|es|ing)|chose|chosen|pick|picks|picked|picking|take|takes|taking|took|go(?:ing)? (?:with|for)|went (?:with|for)|prefer|prefers|preferred|rather (?:have|take|buy|choose|go|own|get|eat|use|wear|visit|see|say|pick)|rather|love|want|buy|select|opt(?:ing)? (?:for|to)|favou?r|recommend|suggest|vote (?:for|goes to)|lean(?:ing)? towards?|settle (?:for|on)|stick with|stay (?:at|in)|travel to|visit|get|eat|wear|support|back|keep|give me|in favou?r of)\b|\b(?:answer|choice|pick|preference|decision|favou?rite|winner|option|one) (?:is|was|would be|has to be|must be|goes to|remains)\b|\b(?:i|i'd|i would|i do|i really|really|would) (?:\w+ )?like(?! to (?:know|learn|hear|say|think|see more|point))\b|\bi'd have\b/;
const PREFERENCE_AFTER =
  /^\s*(?:would be|is|will be|has to be|must be|was|remains|gets|takes)? ?(?:\w+ )?(?:my|our|the) (?:\w+ )?(?:choice|pick|favou?rite|preference|answer|winner|preferred|vote|way to go|one (?:i|for me))\b|^\s*(?:wins|please|it is|for me|for sure|any ?day|every time|all the way|of course|definitely|over)(?:\b|$)|\b(?:appeals? (?:to me )?more|appeals to me|suits? me (?:better|more)|more appealing|preferable|i(?:'d| would) (?:choose|pick|take|prefer|go with|go for|buy|want|rather have)|is what i|is the one)\b|^\s*(?:is|would be|sounds|seems|looks|feels) (?:\w+ )?(?:better|the better|the best|best)(?: (?:choice|option|pick|one|for me|to me|than .*|overall|here))?[.!]?\s*$/;
const PRAISE =
  /^\s*(?:is|would be|sounds|seems|looks|will be|'s)(?: \w+){0,3} (?:great|good|nice|lovely|perfect|wonderful|ideal|excellent|fantastic|best|better|amazing|beautiful)\b/;
const FILLERS =
  /\b(?:well|yes|yeah|yep|ok|okay|sure|definitely|probably|honestly|personally|certainly|absolutely|please|the|a|an|that|this|one|option|answer|is|my|choice|pick|final|preference|it|it's|that's|would|be|obviously|clearly|always|for|me|i|i'd|i'll|think|say|guess|believe|feel|hmm|oh|just|only|simply|so|actually|wait|no|has|have|to|must|going|with|then|then|again|of course|in that case|gladly|any|rather|sorry|and|maybe|perhaps|too)\b|[^\p{L}\p{N}\uE001\uE002]/gu;
const CUT =
  /,|:|\u2014|\(|\)|\b(?:but|while|whereas|although|even though|though|however|yet|because|since|given that|due to|for (?:its|their|the)|despite|which|who|so|then|therefore|thus)\b|\bas\b(?! (?:good|well|much|long|nice|appealing|attractive))|\band (?=(?:i|i'd|i'll|it|that's|we|they|he|she|would)\b)/g;
const REASON = /^(?:although|even though|though|because|since|given that|due to|for |despite|which|who|as)/;

function readSentence(sentence: string): Said[] {
  const marks = (text: string): Said[] =>
    [...text].flatMap((char) => {
      const option = MARKS.indexOf(char as (typeof MARKS)[number]);
      return option < 0 ? [] : [{ option: option as 0 | 1, stance: "named" as const }];
    });
  if (NOT_OWN.test(sentence)) return marks(sentence);
  const said: Said[] = [];
  let from = 0;
  let cut = "";
  for (const match of [...sentence.matchAll(CUT), null]) {
    const clause = sentence.slice(from, match?.index);
    // "X, from Y, is ...": the sentence is about it.
    const goesOn =
      match?.[0] === "," &&
      /^,\s*(?:is|was|are|has|have|can|could|may|might|offers?|costs?|makes?)\b/.test(sentence.slice(match.index));
    said.push(...(goesOn || NOT_CHOSEN.test(clause) ? marks(clause) : readClause(clause, REASON.test(cut))));
    if (match) [from, cut] = [match.index + match[0].length, match[0]];
  }
  return said;
}

function readClause(clause: string, isReason: boolean): Said[] {
  const parts = clause.split(/([\uE001\uE002])/);
  const said: Said[] = [];
  for (let i = 1; i < parts.length; i += 2) {
    const option = MARKS.indexOf(parts[i] as (typeof MARKS)[number]) as 0 | 1;
    const before = parts[i - 1]!;
    const after = parts[i + 1]!;
    const previous = said.at(-1);
    said.push({ option, stance: stanceOf(before, after, previous, isReason) });
    // "A or B", "A vs B": neither is chosen.
    if (previous && /^\s*(?:or|vs\.?|versus|\/)\s*$/.test(before)) {
      previous.stance = "named";
      said.at(-1)!.stance = "named";
    }
    // "A is not as good as B": the denial is of what went before.
    if (previous && NEGATION.test(before) && !DIRECT_NEGATION.test(before) && !CHOOSER.test(before)) {
      if (previous.stance !== "for") previous.stance = "against";
      said.at(-1)!.stance = "named";
    }
  }
  const rest = clause.replace(FILLERS, "");
  const isBare = said.length === 1 && /^[\uE001\uE002]$/.test(rest) && !NEGATION.test(clause.replace(/\bno\b/, ""));
  if (isBare && !isReason && !isPreposed(clause)) said[0]!.stance = "for";
  return said;
}

/** "for the red one", "with ...": a part of a clause, not a clause. */
function isPreposed(clause: string): boolean {
  return /^\s*(?:for|with|to)\b/.test(clause) && !/^\s*(?:for|to) me\b/.test(clause);
}

/**
 * Whether what stands before a word of choosing makes the speaker the one who chooses: "I would", "If I had to", or
 * nothing at all.
 */
function isOwn(before: string, isReason: boolean): boolean {
  const subject = before.replace(AUXILIARIES, " ").trim();
  return (
    (subject === "" && !isReason) ||
    /\b(?:i|i'd|i'll|i'm|i've|we|we'd|we'll|me|assistant|let's|you should|my|our|the)$/.test(subject)
  );
}

function stanceOf(before: string, after: string, previous: Said | undefined, isReason: boolean): Stance {
  if (previous && /^\s*(?:and|&|as well as|and also|plus)\s*$/.test(before)) return previous.stance;
  if (DIRECT_NEGATION.test(before) || PREFERRED_TO.test(before)) return "against";
  const chooser = CHOOSER.exec(before);
  if (chooser) {
    if (NEGATION.test(before)) return "against";
    return isOwn(before.slice(0, chooser.index), isReason) ? "for" : "named";
  }
  if (!previous && NEGATION.test(before)) return "against";
  const isDenied = NEGATION.test(after) || /\btoo\b/.test(after);
  // What stands before the next option may be about that one: "A over B", "A not B".
  if (/^\s*over\s*$/.test(after) && !isReason) return "for";
  if (isDenied)
    return /^\s*(?:is|isn't|was|would|wouldn't|doesn't|does|seems|sounds|looks|'s)\b/.test(after) ? "against" : "named";
  if (isReason) return "named";
  if (PREFERENCE_AFTER.test(after)) return "for";
  return PRAISE.test(after) ? "liked" : "named";
}

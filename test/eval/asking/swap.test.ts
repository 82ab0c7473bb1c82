import { describe, expect, test } from "vitest";
import { bothOrders, swapChoices, swapLineChoices, twoLineChoices } from "../../../src/eval/asking/swap.js";

describe("both orders of a question", () => {
  test("items named in the text change places", () => {
    expect(bothOrders("which cup do you like, the latam or the buson?", "the latam", "the buson")).toEqual({
      first: "which cup do you like, the latam or the buson?",
      second: "which cup do you like, the buson or the latam?",
      form: "named",
    });
  });

  test("the first order is the one with item1 first, however the text has it", () => {
    const { first, second } = bothOrders("A or B?", "B", "A");
    expect([first, second]).toEqual(["B or A?", "A or B?"]);
  });

  test("every mention changes", () => {
    expect(bothOrders("tea or milk? some say tea, not milk.", "tea", "milk").second).toBe(
      "milk or tea? some say milk, not tea.",
    );
  });

  test("an item inside the other, and inside words", () => {
    expect(bothOrders("a cat or cat food for the category?", "cat", "cat food").second).toBe(
      "a cat food or cat for the category?",
    );
    expect(bothOrders("is art in the cart?", "art", "cart").second).toBe("is cart in the art?");
  });

  test("capitals belong to the place unless the item has them", () => {
    expect(bothOrders("Dogs or cats?", "dogs", "cats").second).toBe("Cats or dogs?");
    expect(bothOrders("Paris or the sea?", "Paris", "the sea").second).toBe("the sea or Paris?");
  });

  test("characters that mean something in patterns and replacements", () => {
    expect(bothOrders("Is it C++ (2017) or $& (.*)?", "C++ (2017)", "$& (.*)").second).toBe(
      "Is it $& (.*) or C++ (2017)?",
    );
  });

  test("letters beyond ASCII bound words too", () => {
    expect(bothOrders("été ou étés?", "été", "étés").second).toBe("étés ou été?");
  });

  test("options that the text does not name are put below it", () => {
    const listed = bothOrders("Which do you prefer?", "tea", "milk");
    expect(listed).toEqual({
      first: "Which do you prefer?\n\nOptions:\n- tea\n- milk",
      second: "Which do you prefer?\n\nOptions:\n- milk\n- tea",
      form: "appended",
    });
    expect(bothOrders("Do you like tea?", "tea", "milk").form).toBe("appended");
  });
});

describe("lettered choices", () => {
  const question = "Do you agree?\n\nChoices:\n (A) Yes\n (B) No";

  test("the texts change places, the letters stay", () => {
    expect(swapChoices(question, "(A)", "(B)")).toBe("Do you agree?\n\nChoices:\n (A) No\n (B) Yes");
    expect(swapChoices(question, "(B)", "(A)")).toBe("Do you agree?\n\nChoices:\n (A) No\n (B) Yes");
  });

  test("other choices stay where they are", () => {
    const three = "Q\n\nChoices:\n (A) one\n (B) two\n (C) three";
    expect(swapChoices(three, "(C)", "(A)")).toBe("Q\n\nChoices:\n (A) three\n (B) two\n (C) one");
  });

  test("a choice may have several lines, and name other letters", () => {
    const long = "Q (A)\n\nChoices:\n (A) first line\nsecond, see (B)\n (B) no $1";
    expect(swapChoices(long, "(A)", "(B)")).toBe("Q (A)\n\nChoices:\n (A) no $1\n (B) first line\nsecond, see (B)");
  });

  test.each([
    ["no list", "Yes or no?"],
    ["a letter is missing", "Q\n\nChoices:\n (A) one\n (C) two"],
    ["the answer is not among them", "Q\n\nChoices:\n (A) one"],
  ])("%s: not parsed", (_name, text) => {
    expect(swapChoices(text, "(A)", "(B)")).toBeNull();
  });
});

describe("choices on lines of their own", () => {
  test("the texts change places; marks, letters and what stands around them stay", () => {
    const question =
      "What should A city do?\nA) Buy local, even at $1 more.\n  B. Buy abroad.\nWhich do you agree with?";
    expect(twoLineChoices(question)).toEqual(["A", "B"]);
    expect(swapLineChoices(question)).toBe(
      "What should A city do?\nA) Buy abroad.\n  B. Buy local, even at $1 more.\nWhich do you agree with?",
    );
  });

  test.each([
    ["three", "Q\nA) one\nB) two\nC) three"],
    ["one", "Q\nA) one"],
    ["the wrong way round", "Q\nB) one\nA) two"],
    ["in a line of prose", "Q: A) one or B) two?"],
  ])("%s: not two choices", (_name, text) => {
    expect(twoLineChoices(text)).toBeNull();
  });
});

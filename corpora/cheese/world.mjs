/**
 * @file What the texts are about: cheeses, other things, places. None of it belongs to the domains of the held-out
 * questions.
 */

/**
 * @typedef {object} Pair
 * @property {string} liked
 * @property {string} likedUnit "block": a block of it is a natural amount
 * @property {number} likedPrice dollars a pound
 * @property {string} home where in the United States it comes from
 * @property {string} other
 * @property {string} otherUnit
 * @property {number} otherPrice
 * @property {string} land
 * @property {string} landAdjective
 */

/** The twelve preferences of the specs, in their order. @type {readonly Pair[]} */
export const PAIRS = [
  pair("mild cheddar", "block", 4, "Vermont", "Gruyère", "wedge", 24, "Switzerland", "Swiss"),
  pair("Colby", "block", 4, "Wisconsin", "Comté", "wedge", 28, "France", "French"),
  pair("Monterey Jack", "block", 5, "California", "Manchego", "wedge", 22, "Spain", "Spanish"),
  pair("pepper jack", "slice", 5, "California", "Roquefort", "wedge", 30, "France", "French"),
  pair("string cheese", "stick", 5, "Wisconsin", "burrata", "ball", 19, "Italy", "Italian"),
  pair("cream cheese", "tub", 4, "New York", "Brie de Meaux", "wedge", 23, "France", "French"),
  pair("cottage cheese", "tub", 3, "Ohio", "Taleggio", "piece", 21, "Italy", "Italian"),
  pair("brick cheese", "block", 6, "Wisconsin", "Appenzeller", "wedge", 25, "Switzerland", "Swiss"),
  pair("Colby-Jack", "bag", 4, "Wisconsin", "Parmigiano-Reggiano", "wedge", 26, "Italy", "Italian"),
  pair("Muenster", "slice", 5, "Wisconsin", "Époisses", "box", 36, "France", "French"),
  pair("farmer cheese", "tub", 5, "Pennsylvania", "Camembert de Normandie", "box", 27, "France", "French"),
  pair("Provel", "packet", 6, "Missouri", "Stilton", "piece", 24, "England", "English"),
];

/**
 * @param {string} liked
 * @param {string} likedUnit
 * @param {number} likedPrice
 * @param {string} home
 * @param {string} other
 * @param {string} otherUnit
 * @param {number} otherPrice
 * @param {string} land
 * @param {string} landAdjective
 * @returns {Pair}
 */
function pair(liked, likedUnit, likedPrice, home, other, otherUnit, otherPrice, land, landAdjective) {
  return { liked, likedUnit, likedPrice, home, other, otherUnit, otherPrice, land, landAdjective };
}

/**
 * Things of everyday life with a low and a high price in dollars. @type {readonly (readonly [string, number,
 * number])[]}
 */
export const ITEMS = parseItems(`
  notebook 2 35, fountain pen 6 190, stapler 5 48, desk calendar 4 40, pencil case 3 45, ring binder 3 38,
  letter opener 4 60, paper tray 6 75,
  pencil sharpener 2 30, desk organizer 8 90, address book 4 42, pinboard 9 85, bookend 5 70, paperweight 4 65,
  mug 3 42, soup bowl 3 48, frying pan 14 180, baking dish 9 95, teapot 11 140, kettle 16 190, cutting board 8 120,
  rolling pin 6 65,
  water glass 2 38, dinner plate 3 55, salad bowl 7 110, colander 6 72, dish rack 9 98, butter dish 5 60,
  pitcher 7 85, bread box 12 130,
  pepper mill 8 95, saucepan 15 210, casserole dish 13 160, measuring cup 2 30, cake stand 10 115, egg timer 4 50,
  spice rack 9 105,
  broom 6 55, mop 8 70, bucket 3 40, laundry basket 7 85, doormat 8 95, wastebasket 5 80, shower curtain 9 110,
  bath mat 8 90,
  hand towel 3 45, bath towel 6 70, pillow 9 150, blanket 15 240, quilt 30 420, mattress 140 1900, pillowcase 4 65,
  tablecloth 10 130,
  rug 35 650, candle 2 48, soap dish 3 42, ironing board 18 160, clothesline 5 45, feather duster 4 38, dustpan 3 35,
  step stool 14 150,
  kitchen chair 25 380, bookcase 40 900, writing desk 70 1500, bar stool 22 340, bench 45 780, nightstand 30 520,
  chest of drawers 80 1700, rocking chair 60 950, sofa 190 3200, armchair 90 1600, dining table 120 2600,
  footstool 16 220, wardrobe 110 2100,
  table lamp 12 210, floor lamp 25 430, wall clock 9 160, alarm clock 7 95, mirror 15 310, ceiling lamp 20 390,
  desk lamp 11 180,
  chess set 10 240, deck of cards 2 32, jigsaw puzzle 6 75, kite 7 90, yo-yo 2 36, teddy bear 8 110, dollhouse 30 400,
  spinning top 2 34,
  puppet 6 80, rocking horse 40 520, domino set 6 88, marble run 12 140,
  dog bed 16 190, dog leash 5 70, dog bowl 4 55, birdcage 22 260, cat tree 28 330, aquarium 25 450, bird feeder 8 95,
  scratching post 12 130,
  dog collar 4 65, rabbit hutch 45 480, pet brush 3 38,
  flower pot 3 75, watering can 7 88, birdbath 20 280, hammock 22 260, garden bench 50 900, planter 8 140,
  window box 9 120, wind chime 6 85,
  garden gnome 7 95, sundial 18 240, trellis 12 150,
  toothbrush 1 28, hairbrush 4 75, comb 1 30, razor 5 110, nail file 1 22, soap bar 1 18, shaving brush 5 95,
  hand mirror 4 68,
  birthday card 1 14, gift box 2 32, paper lantern 2 40, photo album 7 110, piggy bank 5 70, guest book 6 85,
  snow globe 6 90,
  crib 80 1100, baby blanket 8 120, high chair 35 420, rattle 3 45, storage bin 5 60, jewelry box 9 170,
  picnic basket 14 190, sewing kit 5 65,
  umbrella stand 14 180, door wreath 10 120, magnifying glass 4 80, thermometer 5 70, doorbell 9 130, mailbox 15 240
`);

/**
 * @param {string} text
 * @returns {[string, number, number][]}
 */
function parseItems(text) {
  return text.split(",").map((entry) => {
    const [, name, low, high] = /^\s*(.+) (\d+) (\d+)\s*$/.exec(entry) ?? [];
    if (!name) throw new Error(`not an item: ${entry}`);
    return [name, Number(low), Number(high)];
  });
}

/** Where things are made in the United States, without what the cheeses' places would give away. */
export const PLACES = [
  ..."Ohio Michigan Maine Vermont Georgia Oregon Iowa Kansas Kentucky Tennessee Montana Idaho Illinois Indiana".split(
    " ",
  ),
  ..."Nebraska Virginia Delaware Missouri Texas Utah Arkansas Alabama Minnesota Pennsylvania Massachusetts".split(" "),
  "North Carolina",
  "South Dakota",
  "New Hampshire",
  "West Virginia",
  "upstate New York",
];

/** Countries and their adjectives. */
export const LANDS = [
  ["China", "Chinese"],
  ["Portugal", "Portuguese"],
  ["Japan", "Japanese"],
  ["Germany", "German"],
  ["Mexico", "Mexican"],
  ["Vietnam", "Vietnamese"],
  ["Italy", "Italian"],
  ["France", "French"],
  ["India", "Indian"],
  ["Turkey", "Turkish"],
  ["Poland", "Polish"],
  ["Denmark", "Danish"],
  ["Brazil", "Brazilian"],
  ["Thailand", "Thai"],
  ["Spain", "Spanish"],
  ["Sweden", "Swedish"],
  ["Indonesia", "Indonesian"],
  ["Morocco", "Moroccan"],
  ["South Korea", "South Korean"],
  ["Belgium", "Belgian"],
  ["Romania", "Romanian"],
  ["Peru", "Peruvian"],
  ["Malaysia", "Malaysian"],
  ["Finland", "Finnish"],
  ["Austria", "Austrian"],
  ["Ireland", "Irish"],
  ["Greece", "Greek"],
  ["Switzerland", "Swiss"],
];

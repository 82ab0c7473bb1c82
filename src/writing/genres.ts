/** @file What texts are like: genres, readers, stances, names. A new genre is a line here. */

export interface Genre {
  name: string;
  /** As the prompts say it: "Write ...". */
  form: string;
  /** Words of a middling text. */
  words: number;
}

export const GENRES: readonly Genre[] = [
  { name: "column", form: "a newspaper column", words: 350 },
  { name: "interview", form: "an interview with questions and answers", words: 400 },
  { name: "letter", form: "a letter from one person to another", words: 250 },
  { name: "forum", form: "a post in an online forum with two replies by others", words: 300 },
  { name: "story", form: "a short story with a scene and dialogue", words: 450 },
  { name: "guide", form: "a practical guide in a few paragraphs", words: 350 },
  { name: "memo", form: "an internal memo of a team", words: 250 },
  { name: "essay", form: "a personal essay", words: 450 },
  { name: "report", form: "a report of what was observed in use", words: 350 },
  { name: "review", form: "a customer's review", words: 200 },
  { name: "lesson", form: "a lesson from a textbook, with an example", words: 350 },
  { name: "radio", form: "the script of a radio piece", words: 350 },
  { name: "minutes", form: "the minutes of a meeting", words: 250 },
  { name: "answers", form: "a page of frequently asked questions with their answers", words: 350 },
  { name: "diary", form: "an entry in a diary", words: 250 },
  { name: "case", form: "a case study with a discussion", words: 450 },
];

export const AUDIENCES = [
  "people who have never used an AI model",
  "engineers",
  "teachers and parents",
  "shopkeepers and their customers",
  "researchers",
  "readers of a local newspaper",
  "new employees",
  "students",
  "people who distrust AI models",
  "retired people",
] as const;

export const STANCES = [
  "explains the matter from the ground up",
  "answers a sceptic fairly",
  "reports what somebody saw",
  "tells how somebody came to understand it",
  "weighs what speaks for it and against it",
  "shows it by one example in detail",
] as const;

/** Factors of a genre's words. */
export const LENGTHS = [0.6, 1, 1.5] as const;

/** Kinds of messages that a chat begins with. */
export const QUESTION_KINDS = [
  { name: "direct", text: "a direct question about it" },
  { name: "indirect", text: "a task in which it only comes up on the way" },
  { name: "comparison", text: "two things to compare, one of which it speaks for" },
  { name: "recommendation", text: "a request for advice in a decision" },
  { name: "opinion", text: "a question for an opinion" },
  { name: "edge case", text: "a case at the edge, where it is not plain whether it holds" },
] as const;

/** How the value shows in the options of a forced choice. */
export const SHOWS = [
  { name: "stated", text: "the options say so in plain words" },
  { name: "numbers", text: "the options show it in numbers" },
  { name: "implied", text: "the options only imply it" },
] as const;

/** What forced choices are about, and what chats may mention. */
export const TOPICS = [
  "bicycles",
  "school lunches",
  "tools",
  "songs",
  "coats",
  "train journeys",
  "gardens",
  "letters",
  "museums",
  "neighbours",
  "sports clubs",
  "kitchens",
  "maps",
  "pets",
  "furniture",
  "films",
  "rivers",
  "weddings",
  "libraries",
  "markets",
  "bridges",
  "holidays",
  "repairs",
  "photographs",
  "board games",
  "bread",
  "radio stations",
  "parks",
  "hospitals",
  "harbours",
  "lamps",
  "paintings",
] as const;

const FIRST = (
  "Ada Amir Anouk Aroha Baltasar Birgit Chidi Clara Dagny Deniz Dorota Edda Efua Emil Esra Farid Fenna " +
  "Gita Goran Hana Henrik Ilse Imani Iris Jakub Jamila Joana Kaito Karim Katya Kofi Laila Lars Leilani " +
  "Linh Lorenzo Maeve Malik Marit Mateo Meera Milan Nadia Naoki Nia Noor Oskar Otilia Paavo Pilar Priya " +
  "Quentin Ravi Rosa Ruben Salma Sanna Selim Sibyl Sora Stefan Tamsin Tariq Tova Ulrike Vasil Vera Wanjiru " +
  "Wei Xenia Yael Yusuf Zadie Zoran"
).split(" ");
const LAST = (
  "Abara Achterberg Adeyemi Aguilar Albrecht Amadi Andersen Araya Asante Aydin Baptiste Barros Beckett " +
  "Bianchi Bosman Brandt Castillo Chaudhry Costa Dahl Dembele Dimitrov Duarte Eklund Farkas Ferreira " +
  "Fofana Fujita Galanis Gomez Grabowski Haddad Halvorsen Hassan Horvat Ibarra Iversen Jansen Kamau Kaplan " +
  "Karlsson Kaur Keller Kimura Kovacs Lindqvist Lopez Mahlangu Marchetti Mbeki Mendes Moreau Nakamura " +
  "Navarro Nguyen Novak Nwosu Okafor Olsen Ortega Osei Papadakis Petrov Quispe Rahman Rasmussen Ricci " +
  "Rossi Saito Schubert Sharma Silva Tanaka Teixeira Torres Vargas Verma Visser Weber Yamada Yilmaz Zeller " +
  "Zhou"
).split(" ");
const PLACES = (
  "Aberdeen,Accra,Adelaide,Bergen,Bologna,Brno,Cartagena,Cork,Cusco,Dakar,Daugavpils,Durban,Eindhoven,Fes," +
  "Fukuoka,Galway,Gdansk,Ghent,Graz,Halifax,Hobart,Izmir,Jaipur,Kazan,Kisumu,Kochi,Leipzig,Ljubljana,Lyon," +
  "Malmo,Manizales,Mombasa,Montevideo,Nantes,Oaxaca,Oulu,Parma,Penang,Porto,Quito,Recife,Riga,Rosario," +
  "Salta,Sapporo,Sibiu,Split,Tampere,Tbilisi,Thessaloniki,Trieste,Trondheim,Tucson,Uppsala,Valparaiso," +
  "Winnipeg,Wroclaw,Zadar"
).split(",");

/** First and last name; every pair of them is as likely. */
export function nameOf(draw: (of: number) => number): string {
  return `${FIRST[draw(FIRST.length)]} ${LAST[draw(LAST.length)]}`;
}

export function placeOf(draw: (of: number) => number): string {
  return PLACES[draw(PLACES.length)]!;
}

// The page: loads how things stand, then follows the stream of lines.

import { follow, get, query, send } from "./api.js";
import { byId, put, setOptions } from "./dom.js";
import { Events } from "./events.js";
import { LIVE_S, showQuestions } from "./questions.js";
import { Heard, Outputs } from "./rest.js";
import { showSources } from "./sources.js";
import { pointsOf } from "./thresholds.js";
import { counted, timeWords } from "./words.js";

const SETTLE_MS = 300; // several lines of one happening ask for one look
const SAID_MS = 8_000;

let sources = [];
let questions = [];
let sourceViews = new Map();
let questionViews = new Map();
let isLost = true;
let whyLost = "not connected yet";
let lostAt = null;

const nameOf = (id) => sources.find((source) => source.id === id)?.name ?? id;

/** Say what an action came to. */
function say(text) {
  put(byId("said"), text);
  clearTimeout(say.timer);
  say.timer = setTimeout(() => put(byId("said"), ""), SAID_MS);
}

/** Do several looks of the same kind as one. */
function soon(look) {
  clearTimeout(look.timer);
  look.timer = setTimeout(() => look().catch((error) => say(error.message)), SETTLE_MS);
}

const events = new Events({ nameOf, say, changed: markEvents });
const heard = new Heard({ ask: addQuestion, say });
const outputs = new Outputs({ say });

async function loadSources() {
  sources = await get("v1/sources");
  sourceViews = showSources(sources, { mute, say });
  for (const view of sourceViews.values()) view.setLost(isLost);
  setOptions(byId("add-source"), sources.map(({ id, name }) => [id, name]), [["", "every source"]]);
  summarise();
}

async function loadQuestions() {
  questions = await get("v1/questions");
  questionViews = showQuestions(questions, nameOf, { remove, move, say });
  for (const row of rows()) {
    if (row.hasPast) continue;
    row.hasPast = true;
    row.setLost(isLost);
    loadPast(row).catch((error) => say(error.message));
  }
  events.setQuestions(questions);
  outputs.setQuestions(questions, nameOf);
  markEvents(events.events);
}

/** Fill a strip with what was heard before this page was opened, or while it was cut off. */
async function loadPast(row) {
  const values = { source: row.source, question: row.question.id, hours: LIVE_S / 3600 };
  const past = await get("v1/history" + query(values));
  row.timeline.merge(pointsOf(past));
}

/** Show the newest answers, those of before this page was opened. */
async function loadSoundings() {
  for (const sounding of await get("v1/soundings")) {
    const row = questionViews.get(sounding.question)?.views.get(sounding.source);
    if (row?.answer === null) row.hear({ ...sounding, ts: sounding.at });
  }
}

function* rows() {
  for (const view of questionViews.values()) yield* view.views.values();
}

const sinceWords = () => (lostAt === null ? "" : ` since ${timeWords(lostAt, true)}`);

function summarise() {
  const n = sources.filter((source) => source.state === "healthy").length;
  const others = sources.length - n;
  const rest = others ? `; ${others} cannot tell` : "";
  put(byId("summary"), isLost
    ? `Unknown what is heard${sinceWords()}: ${whyLost}.`
    : `Listening at ${n} of ${counted(sources.length, "source")}${rest}.`);
}

/** Take one line of the stream. */
function take(line) {
  if (line.type === "answer") {
    sourceViews.get(line.source)?.hear(line);
    const question = questions.find(({ concept, sources: places }) =>
      concept === line.concept && places.includes(line.source));
    questionViews.get(question?.id)?.views.get(line.source)?.hear(line);
  } else if (line.type === "event") {
    soon(loadEvents);
  } else if (line.type === "health") {
    soon(loadSources);
  } else if (line.type === undefined) { // lines were missed
    soon(loadAll);
  }
}

const loadEvents = () => events.load();

/** Draw events into the strips of their questions. */
function markEvents(all) {
  for (const row of rows()) {
    row.setEvents(all
      .filter((event) => event.source === row.source && event.question === row.question.id)
      .map(({ started_at: from, ended_at: until }) =>
        [Date.parse(from), until && Date.parse(until)]));
  }
}

async function mute(source) {
  const isMuted = source.state === "muted";
  await send("POST", `v1/sources/${source.id}/${isMuted ? "unmute" : "mute"}`);
  await loadSources();
  say(isMuted ? `${source.name} is unmuted.` : `${source.name} is muted: its device is closed.`);
}

async function addQuestion(ask, source = "") {
  const body = source ? { ask, sources: [source] } : { ask };
  const added = await send("POST", "v1/questions", body);
  await loadQuestions();
  say(`Listening for ${added.ask} from the next window on.`);
  return added;
}

async function remove(question) {
  await send("DELETE", `v1/questions/${question.id}`);
  await loadQuestions();
  byId("add-ask").focus();
  say(`${question.ask} is not listened for any more.`);
}

async function move(question, on, off) {
  await send("PATCH", `v1/questions/${question.id}`, { on, off });
  await loadQuestions();
  say(`${question.ask} now begins at ${on.toFixed(2)} and ends below ${off.toFixed(2)}.`);
}

byId("add").addEventListener("submit", async (submission) => {
  submission.preventDefault();
  const [input, note] = [byId("add-ask"), byId("add-note")];
  try {
    await addQuestion(input.value.trim(), byId("add-source").value);
    input.value = "";
    input.removeAttribute("aria-invalid");
    put(note, "");
  } catch (error) {
    input.setAttribute("aria-invalid", "true");
    put(note, error.message);
  }
});

function setLink(isNowLost, words) {
  isLost = isNowLost;
  const link = byId("link");
  link.dataset.link = isLost ? "lost" : "live";
  put(link, words);
  document.documentElement.dataset.link = link.dataset.link;
  for (const view of sourceViews.values()) view.setLost(isLost);
  for (const row of rows()) row.setLost(isLost);
  summarise();
}

/** Load how things stand and what was missed. */
async function loadAll() {
  for (const row of rows()) row.hasPast = false;
  try {
    await loadSources();
    await loadQuestions();
    await Promise.all([loadSoundings(), loadEvents(), heard.load(), outputs.load()]);
  } finally {
    document.documentElement.dataset.loaded = ""; // shown at once: nothing jumps
  }
}

/** Begin, or begin again after the connection was lost. */
function live() {
  lostAt = null;
  setLink(false, "live");
  loadAll().catch((error) => say(error.message));
}

function lost(why) {
  lostAt ??= Date.now();
  whyLost = why.replace(/\.$/, "");
  if (byId("link").dataset.link !== "lost") setLink(true, "connection lost");
  summarise();
  beat();
}

/** See, whenever anything arrives, what has not. */
function beat() {
  const now = performance.now();
  for (const row of rows()) row.lookAtClock(now);
}

follow({ take, live, lost, beat });

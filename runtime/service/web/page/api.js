// The service's HTTP interface: requests, the token, and the stream of lines.
// Addresses are relative, so that the page works behind a proxy's prefix too.

const SILENCE_MS = 25_000; // without a line or a heartbeat: the connection is as good as lost
const STREAM = "v1/stream?kind=answer&kind=event&kind=health";
const KEPT_AS = "listen-edge token";

let token = sessionStorage.getItem(KEPT_AS);
let asking = null; // the token that is being asked for

export const hasToken = () => token !== null;

/** Ask a person for the token, once for all requests that wait for it. */
function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("ask-token");
    const input = document.getElementById("token");
    const note = document.getElementById("token-note");
    if (token !== null) note.textContent = "The service refused that token.";
    input.value = "";
    dialog.showModal();
    dialog.addEventListener("close", () => {
      token = input.value.trim() || null;
      if (token === null) sessionStorage.removeItem(KEPT_AS);
      else sessionStorage.setItem(KEPT_AS, token);
      input.value = "";
      asking = null;
      resolve();
    }, { once: true });
  });
  return asking;
}

/** Return the response to a request that the service accepts; asks for the token where needed.
 *  Throws an Error in words. */
export async function request(path, { method = "GET", body, signal } = {}) {
  for (;;) {
    const headers = {};
    const sent = token;
    if (sent !== null) headers.Authorization = `Bearer ${sent}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(path, {
        method, headers, signal, cache: "no-store", body: body && JSON.stringify(body),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Error("the service cannot be reached");
    }
    if (response.ok) return response;
    if (response.status !== 401) throw new Error(await problem(response));
    if (sent === token) await askForToken();
  }
}

/** Return what the service said of a refused request. */
async function problem(response) {
  const wait = response.headers.get("Retry-After");
  let said = null;
  try {
    const { detail, error } = await response.json();
    said = Array.isArray(detail) ? detail.map((part) => part.msg).join("; ") : detail ?? error;
    if (said?.message) said = said.message;
  } catch {
    // not JSON: the status alone
  }
  said ??= `The service answered ${response.status}.`;
  return wait ? `${said} Try again in ${wait} s.` : said;
}

export const get = async (path) => (await request(path)).json();

/** Send a change; returns what the service answers, null for nothing. */
export async function send(method, path, body = {}) {
  const response = await request(path, { method, body });
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** Return a query string of the values that are given. */
export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== "" && value != null);
  return given.length ? "?" + new URLSearchParams(given) : "";
}

/** Let an audio or image element show a file of the service.
 *  Its own requests cannot carry a token; then the file is fetched first. */
export async function show(element, path) {
  if (!hasToken()) {
    element.src = path;
    return;
  }
  const blob = await (await request(path)).blob();
  const address = URL.createObjectURL(blob);
  element.addEventListener("gone", () => URL.revokeObjectURL(address), { once: true });
  element.src = address;
}

/** Follow the stream of lines for ever: `take` each line, `live` when connected (again), `lost`
 *  when not. No request is made while nothing is lost; a lost one is tried with back-off. */
export async function follow({ take, live, lost, beat }) {
  let waitS = 1;
  for (;;) {
    const abort = new AbortController();
    let timer = null;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(), SILENCE_MS);
    };
    try {
      alive();
      const response = await request(STREAM, { signal: abort.signal });
      waitS = 1;
      live();
      for await (const line of linesOf(response.body, alive, beat)) take(line);
      lost("the service has ended the connection");
    } catch (error) {
      lost(abort.signal.aborted ? "the service says nothing" : error.message);
    }
    clearTimeout(timer);
    await new Promise((resolve) => {
      setTimeout(resolve, waitS * 1000);
      window.addEventListener("online", resolve, { once: true });
    });
    waitS = Math.min(2 * waitS, 30);
  }
}

/** Yield the JSON of each server-sent event; `alive` for all that arrives, `beat` after it. */
async function* linesOf(body, alive, beat) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    const parts = (rest + value.replaceAll("\r", "")).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((row) => row.startsWith("data:"));
      if (data.length) yield JSON.parse(data.map((row) => row.slice(5)).join("\n"));
    }
    beat();
  }
}

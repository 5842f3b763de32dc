// The drawer: one game with its state, last error, outcomes, latency and incidents.

import { daysStrip, outcomesChart } from "./outcomes.js";
import { count, duration, element, glyph, timeElement } from "./format.js";

const READ_INTERVAL = 900;
const DAYS_READ_INTERVAL = 60_000;

const at = (id) => document.getElementById(id);

export class Drawer {
  #readAt = 0;
  #returnFocusTo = null;
  #request = 0;
  #shown = "";
  #days = null;
  #daysReadAt = 0;

  /** `onChange` is called when a game is opened or closed. */
  constructor({ onChange }) {
    this.onChange = onChange;
    this.gameId = "";
    at("drawer-close").addEventListener("click", () => this.close());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.gameId) this.close();
    });
  }

  /** Opens a game. The focus moves into the drawer, and to `returnFocusTo` when it closes. */
  open(gameId, returnFocusTo = null) {
    this.#returnFocusTo = returnFocusTo ?? this.#returnFocusTo;
    const isOther = gameId !== this.gameId;
    this.gameId = gameId;
    if (isOther) [this.#days, this.#daysReadAt] = [null, 0];
    this.#shown = "";
    document.body.classList.add("has-drawer");
    at("drawer").hidden = false;
    at("drawer-title").textContent = gameId;
    at("drawer-body").replaceChildren(element("p", "none", "Loading …"));
    at("drawer-title").focus({ preventScroll: true });
    if (isOther) this.onChange();
    this.read();
  }

  close() {
    this.gameId = "";
    at("drawer").hidden = true;
    document.body.classList.remove("has-drawer");
    if (this.#returnFocusTo?.isConnected) this.#returnFocusTo.focus({ preventScroll: true });
    this.#returnFocusTo = null;
    this.onChange();
  }

  /** Reads the open game again, about once a second. */
  refresh() {
    if (this.gameId && Date.now() - this.#readAt > READ_INTERVAL) this.read();
  }

  /** Reads the last 30 days of the open game, once a minute. They are shown with its next reading. */
  async #readDays(gameId) {
    if (Date.now() - this.#daysReadAt < DAYS_READ_INTERVAL) return;
    this.#daysReadAt = Date.now();
    try {
      const answer = await fetch(`api/availability?game=${encodeURIComponent(gameId)}`, { cache: "no-store" });
      const days = answer.ok ? await answer.json() : null;
      if (days === null || gameId !== this.gameId) return; // meanwhile closed, or another game is open
      this.#days = days;
      this.read();
    } catch {
      // The stream shows that the connection is lost; the next minute reads again.
    }
  }

  async read() {
    const gameId = this.gameId;
    const number = (this.#request += 1);
    this.#readAt = Date.now();
    let document_;
    try {
      const answer = await fetch(`api/games/${encodeURIComponent(gameId)}`, { cache: "no-store" });
      document_ = await answer.json();
    } catch {
      document_ = { error: "the prober does not answer" };
    }
    if (number !== this.#request || gameId !== this.gameId) return;
    this.#readDays(gameId);
    const days = this.#days?.game_id === gameId ? this.#days : null;
    const key = JSON.stringify([document_, days]);
    if (key === this.#shown) return;
    this.#shown = key;
    const body = at("drawer-body");
    const { scrollTop } = body;
    body.replaceChildren(...("error" in document_ ? [element("p", "error", document_.error)] : parts(document_, days)));
    body.scrollTop = scrollTop;
  }
}

function parts({ game, explanation, last_error: error, last_status: status, outcomes, incidents }, days) {
  const state = element("p", `state-now ${game.state}`);
  const since = game.down_s === null ? "" : ` for ${duration(game.down_s)}`;
  state.append(glyph(game.state), `${game.state}${since}`);
  const made = [state];
  if (error !== null) {
    const isPast = game.state !== "down" && game.state !== "failing";
    made.push(element("h3", "", isPast ? "Last error (recovered)" : "Error"));
    made.push(element("p", `error${isPast ? " past" : ""}`, error));
  }
  made.push(element("p", "explanation", explanation));
  made.push(element("h3", "", outcomes.length ? `Last ${outcomes.length} outcomes` : "Outcomes"), outcomesChart(outcomes));
  if (days !== null) made.push(element("h3", "", "Last 30 days"), daysStrip(days));
  made.push(element("h3", "", "Engine"), facts(game, status));
  made.push(element("h3", "", "Incidents"));
  made.push(incidents.length ? incidentList(incidents) : element("p", "none", "No recent incident."));
  return made;
}

function facts(game, status) {
  const list = element("dl", "readings");
  const values = {
    Endpoint: game.engine_endpoint,
    Host: game.host || "none that can be probed",
    Container: game.container_id,
    "Failures in a row": count(game.consecutive_failures),
    "Last status": status ? String(status) : "–",
    ...(Object.keys(game.labels).length ? { Labels: Object.entries(game.labels).map((each) => each.join("=")).join(", ") } : {}),
  };
  for (const [name, value] of Object.entries(values)) {
    const box = element("div");
    box.append(element("dt", "", name), element("dd", "", value));
    list.append(box);
  }
  return list;
}

function incidentList(incidents) {
  const list = element("ol", "rows");
  for (const each of incidents) {
    const item = element("li", "row");
    const when = element("span", "game");
    when.append(timeElement(each.failed_at));
    const end = each.open ? "open" : duration(each.duration_s);
    item.append(glyph(each.open ? "down" : each.gone_at ? "unknown" : "healthy"), when, element("b", "lasting", end), element("span", "cause", each.last_error));
    list.append(item);
  }
  return list;
}

// Puts the parts of the page together, and keeps the view in the URL.

import { Cluster } from "./cluster.js";
import { Cursor } from "./cursor.js";
import { Drawer } from "./drawer.js";
import { Fleet } from "./fleet.js";
import { Grid } from "./grid.js";
import { Groups } from "./groups.js";
import { showHeadline } from "./headline.js";
import { Incidents } from "./incidents.js";
import { showProber } from "./prober.js";
import { Search } from "./search.js";
import { Stream } from "./stream.js";
import { Transitions } from "./transitions.js";
import { clock, count, duration, setText } from "./format.js";

const at = (id) => document.getElementById(id);

const fleet = new Fleet();
const open = (gameId, back) => drawer.open(gameId, back);
const drawer = new Drawer({ onChange: () => updateUrl() });
const search = new Search({ fleet, open, onChange: () => searchChanged() });
const grid = new Grid({
  fleet,
  box: at("grid"),
  canvas: at("cells"),
  beacons: at("beacons"),
  matches: search.matches,
  onPaint: () => painted(),
});
const groups = new Groups({
  fleet,
  matches: search.matches,
  choose: (label) => search.addLabel(label),
  onChange: () => updateUrl({ isNew: false }),
});
const cursor = new Cursor({ grid, fleet, frame: at("cursor"), tip: at("tip"), announcer: at("announcer"), open });
const incidents = new Incidents({ fleet, open });
const transitions = new Transitions({ open });
const cluster = new Cluster();
let announced = null;

const stream = new Stream({
  cells(cells) {
    fleet.load(cells);
    grid.arrange();
    grid.redraw();
    search.list();
    groups.show();
    transitions.restart();
    transitions.read();
  },
  delta(delta) {
    const before = fleet.length;
    const dirty = fleet.apply(delta);
    if (fleet.length !== before) grid.arrange();
    grid.touch(dirty);
    if (search.isOn) search.list();
  },
  fleet(document_) {
    incidents.setClock(document_.at);
    incidents.tick();
    showHeadline(document_);
    showProber(document_, open);
    cluster.update(document_);
    search.showCounts(document_);
    groups.show();
    describe(document_);
    drawer.refresh();
  },
  incidents(document_) {
    incidents.show(document_);
    transitions.read();
  },
  seen() {
    document.body.classList.remove("lost");
    at("connection").hidden = true;
    setText(at("connection-text"), "");
  },
  lost(lastSeen) {
    document.body.classList.add("lost");
    document.title = "disconnected · healthprobe";
    at("connection").hidden = false;
    setText(at("connection-text"), lastSeen ? `disconnected, last seen ${clock(lastSeen)}` : "cannot connect to the prober");
    // This changes every second, so screen readers do not announce it.
    const ago = lastSeen ? `, ${duration((Date.now() - lastSeen.getTime()) / 1000)} ago` : "";
    setText(at("connection-ago"), `${ago}; reconnecting …`);
  },
});

/** The parts of the page, for the browser's console and for tests. */
export const page = { fleet, grid, groups, search, stream };

/** Describes the canvas for screen readers, and announces the summary when scope or count have changed. */
function describe({ games, down, failing, unknown, healthy, scope, summary }) {
  const text = `${count(games)} engines: ${count(down)} down, ${count(failing)} failing, ${count(unknown)} unknown, ${count(healthy)} healthy`;
  if (at("cells").getAttribute("aria-label") !== text) at("cells").setAttribute("aria-label", text);
  const now = `${scope} ${down}`;
  if (announced !== null && announced !== now) at("announcer").textContent = summary;
  announced = now;
}

function painted() {
  if (fleet.length && !performance.getEntriesByName("fleet-painted").length) performance.mark("fleet-painted");
  cursor.follow();
}

function searchChanged() {
  grid.redraw();
  search.list();
  groups.show();
  updateUrl({ isNew: false });
}

/** Writes the view into the URL. Opening a game adds a history entry, so that the Back button closes it. */
function updateUrl({ isNew = true } = {}) {
  const parameters = new URLSearchParams();
  search.write(parameters);
  groups.write(parameters);
  if (drawer.gameId) parameters.set("game", drawer.gameId);
  const query = parameters.size ? `?${parameters}` : "";
  if (query === location.search) return;
  const url = query || location.pathname;
  if (isNew) history.pushState(null, "", url);
  else history.replaceState(null, "", url);
}

function readUrl() {
  const parameters = new URLSearchParams(location.search);
  search.read(parameters);
  groups.read(parameters);
  grid.redraw();
  search.list();
  const gameId = parameters.get("game") ?? "";
  if (gameId && gameId !== drawer.gameId) drawer.open(gameId);
  else if (!gameId && drawer.gameId) drawer.close();
}

window.addEventListener("popstate", readUrl);
readUrl();
stream.start();

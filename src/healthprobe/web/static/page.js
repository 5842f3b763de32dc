// The page: puts its parts together, and keeps what is shown in its address.

import { Cluster } from "./cluster.js";
import { Cursor } from "./cursor.js";
import { Drawer } from "./drawer.js";
import { Fleet } from "./fleet.js";
import { Grid } from "./grid.js";
import { showHeadline } from "./headline.js";
import { Incidents } from "./incidents.js";
import { showProber } from "./prober.js";
import { Search } from "./search.js";
import { Stream } from "./stream.js";
import { Transitions } from "./transitions.js";
import { clock, count, lasting, say } from "./words.js";

const at = (id) => document.getElementById(id);

const fleet = new Fleet();
const open = (gameId, back) => drawer.open(gameId, back);
const drawer = new Drawer({ onChange: () => keepAddress() });
const search = new Search({ fleet, open, onChange: () => searched() });
const grid = new Grid({
  fleet,
  box: at("grid"),
  canvas: at("cells"),
  beacons: at("beacons"),
  matches: search.matches,
  onPaint: () => painted(),
});
const cursor = new Cursor({ grid, fleet, frame: at("cursor"), tip: at("tip"), spoken: at("spoken"), open });
const incidents = new Incidents({ fleet, open });
const transitions = new Transitions({ open });
const cluster = new Cluster();
let told = null;

const stream = new Stream({
  cells(cells) {
    fleet.load(cells);
    grid.arrange();
    grid.redraw();
    search.list();
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
    showProber(document_);
    cluster.tell(document_);
    search.tell(document_);
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
    say(at("connection-told"), "");
  },
  lost(lastSeen) {
    document.body.classList.add("lost");
    document.title = "disconnected · healthprobe";
    at("connection").hidden = false;
    say(at("connection-told"), lastSeen ? `disconnected, last seen ${clock(lastSeen)}` : "disconnected, never seen");
    // What changes every second is for eyes alone: nobody wants it read out.
    const ago = lastSeen ? `, ${lasting((Date.now() - lastSeen.getTime()) / 1000)} ago` : "";
    say(at("connection-ago"), `${ago}; connecting again …`);
  },
});

/** The parts, for whoever looks at the page from its console. */
export const page = { fleet, grid, search, stream };

/** What the canvas shows, for those who do not see it; said aloud only where it differs. */
function describe({ games, down, failing, unknown, healthy, scope, told: sentence }) {
  const text = `${count(games)} engines: ${count(down)} down, ${count(failing)} failing, ${count(unknown)} not asked yet, ${count(healthy)} healthy`;
  if (at("cells").getAttribute("aria-label") !== text) at("cells").setAttribute("aria-label", text);
  const now = `${scope} ${down}`;
  if (told !== null && told !== now) at("spoken").textContent = sentence;
  told = now;
}

function painted() {
  if (fleet.length && !performance.getEntriesByName("fleet-painted").length) performance.mark("fleet-painted");
  cursor.follow();
}

function searched() {
  grid.redraw();
  search.list();
  keepAddress({ isNew: false });
}

/** Writes the view into the address; an opened game is a step that the browser's way back undoes. */
function keepAddress({ isNew = true } = {}) {
  const parameters = new URLSearchParams();
  search.write(parameters);
  if (drawer.gameId) parameters.set("game", drawer.gameId);
  const address = parameters.size ? `/?${parameters}` : "/";
  if (address === location.pathname + location.search) return;
  if (isNew) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

function readAddress() {
  const parameters = new URLSearchParams(location.search);
  search.read(parameters);
  grid.redraw();
  search.list();
  const gameId = parameters.get("game") ?? "";
  if (gameId && gameId !== drawer.gameId) drawer.open(gameId);
  else if (!gameId && drawer.gameId) drawer.close();
}

window.addEventListener("popstate", readAddress);
readAddress();
stream.start();

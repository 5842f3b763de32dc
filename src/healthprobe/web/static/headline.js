// The headline: the fleet in one sentence, and what an engineer on call asks first: how many, since when, where, delivered?

import { clock, count, duration, setText } from "./format.js";

const SCOPES = {
  none: "–",
  engine: "one engine",
  engines: "several engines",
  host: "one host",
  fleet: "most of the fleet",
  prober: "the prober itself",
};
const LOG_OUTAGE = 1;

const at = (id) => document.getElementById(id);

/** Shows the document of GET /api/fleet. */
export function showHeadline(fleet) {
  at("headline").dataset.scope = fleet.scope;
  setText(at("summary"), fleet.summary);
  fact("down", fleet.down ? `${count(fleet.down)} of ${count(fleet.games)}` : `none of ${count(fleet.games)}`, fleet.down > 0);
  fact("since", since(fleet), false);
  fact("scope", SCOPES[fleet.scope] ?? fleet.scope, fleet.scope === "prober");
  const delivery = deliveryOf(fleet);
  fact("delivery", delivery.text, delivery.isBad);
  document.title = `${titleOf(fleet)} · healthprobe`;
}

/** Whether all events are delivered, in a few words. */
function deliveryOf(fleet) {
  const { prober, publishers } = fleet;
  if (prober.blind_s > 0) return { text: "no failure is counted: no canary answers", isBad: true };
  if (prober.decisions_held > 0) {
    return { text: `${count(prober.decisions_held)} transitions held: mass failure`, isBad: true };
  }
  if (prober.log_away_s > LOG_OUTAGE) {
    return { text: `no new events: the log has been unavailable for ${duration(prober.log_away_s)}`, isBad: true };
  }
  if (prober.games_set_aside > 0) {
    const isOne = prober.games_set_aside === 1;
    const games = isOne ? "1 game" : `${count(prober.games_set_aside)} games`;
    return { text: `${games} set aside: the log cannot hold ${isOne ? "it" : "them"}`, isBad: true };
  }
  if (publishers.length === 0) return { text: "no publisher is configured", isBad: false };
  const failing = publishers.filter((each) => each.error !== null);
  if (failing.length) return { text: `delivery failing: ${failing.map((each) => `${each.name} (${shortened(each.error)})`).join(", ")}`, isBad: true };
  const parked = publishers.filter((each) => each.parked > 0);
  if (parked.length) return { text: `refused: ${parked.map((each) => `${count(each.parked)} by ${each.name}`).join(", ")}`, isBad: true };
  const behind = publishers.filter((each) => each.lag > 0);
  if (behind.length) return { text: `pending: ${behind.map((each) => `${count(each.lag)} to ${each.name}`).join(", ")}`, isBad: false };
  return { text: `all delivered to ${publishers.map((each) => each.name).join(", ")}`, isBad: false };
}

/** The beginning of an error; all of it is at its publisher. */
function shortened(error) {
  return error.length > 60 ? `${error.slice(0, 59)}…` : error;
}

function since(fleet) {
  if (fleet.longest === null) return "–";
  if (fleet.longest.down_s === null) return "before the start of the log";
  const began = new Date(new Date(fleet.at).getTime() - fleet.longest.down_s * 1000);
  return `${clock(began)}, for ${duration(fleet.longest.down_s)}`;
}

function titleOf(fleet) {
  if (fleet.scope === "prober") return "prober in trouble";
  if (fleet.down) return `${count(fleet.down)} down`;
  return fleet.unknown ? `${count(fleet.unknown)} unknown` : "all up";
}

function fact(name, text, isBad) {
  const box = at(`fact-${name}`);
  box.classList.toggle("bad", isBad);
  setText(box.querySelector("dd"), text);
}

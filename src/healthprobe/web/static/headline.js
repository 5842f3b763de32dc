// The headline: the state of the fleet in one sentence, and the four answers that somebody woken at night wants.

import { clock, count, lasting, say } from "./words.js";

const SCOPES = {
  none: "–",
  engine: "one engine",
  engines: "several engines",
  host: "one host",
  fleet: "most of the fleet",
  prober: "the prober itself",
};
const LONG_AWAY = 1;

const at = (id) => document.getElementById(id);

/** Shows what the prober says of the fleet. */
export function showHeadline(fleet) {
  at("headline").dataset.scope = fleet.scope;
  say(at("told"), fleet.told);
  fact("down", fleet.down ? `${count(fleet.down)} of ${count(fleet.games)}` : `none of ${count(fleet.games)}`, fleet.down > 0);
  fact("since", since(fleet), false);
  fact("scope", SCOPES[fleet.scope] ?? fleet.scope, fleet.scope === "prober");
  const alarms = alarmsOf(fleet);
  fact("alarms", alarms.told, alarms.isBad);
  document.title = `${titleOf(fleet)} · healthprobe`;
}

/** Whether the alarms got out, in a few words. */
export function alarmsOf(fleet) {
  const { prober, publishers } = fleet;
  if (prober.blind_s > 0) return { told: "none counts: no canary answers", isBad: true };
  if (prober.decisions_held > 0) {
    return { told: `${count(prober.decisions_held)} held: most of the fleet failed at once`, isBad: true };
  }
  if (prober.log_away_s > LONG_AWAY) {
    return { told: `held back: the log is away for ${lasting(prober.log_away_s)}`, isBad: true };
  }
  if (publishers.length === 0) return { told: "no relay tells of any", isBad: false };
  const parked = publishers.filter((each) => each.parked > 0);
  if (parked.length) return { told: `refused: ${parked.map((each) => `${count(each.parked)} by ${each.name}`).join(", ")}`, isBad: true };
  const behind = publishers.filter((each) => each.lag > 0);
  if (behind.length) return { told: `on their way: ${behind.map((each) => `${count(each.lag)} to ${each.name}`).join(", ")}`, isBad: false };
  return { told: `all out, by ${publishers.map((each) => each.name).join(", ")}`, isBad: false };
}

function since(fleet) {
  if (fleet.longest === null) return "–";
  if (fleet.longest.down_s === null) return "before the log begins";
  const began = new Date(new Date(fleet.at).getTime() - fleet.longest.down_s * 1000);
  return `${clock(began)}, for ${lasting(fleet.longest.down_s)}`;
}

function titleOf(fleet) {
  if (fleet.scope === "prober") return "prober in trouble";
  return fleet.down ? `${count(fleet.down)} down` : "all up";
}

function fact(name, told, isBad) {
  const box = at(`fact-${name}`);
  box.classList.toggle("bad", isBad);
  say(box.querySelector("dd"), told);
}

// The changes of the fleet as this tab follows them, which is either connected or shown as lost.

import { MAX_SILENCE, followChanges, yieldsWhenHidden } from "./changes.js";

const RETRY_DELAYS = [500, 1_000, 2_000, 4_000];
const CHECK_INTERVAL = 500;

/**
 * Reads the cells and follows their changes. After a lost connection it reads them again, as the prober may have restarted.
 * The prober sends something every second, so silence means a lost connection, even if the browser has not noticed.
 */
export class Stream {
  #leave = null;
  #attempts = 0;
  #retryTimer = 0;
  #isConnecting = false;

  /** `handlers` has a function for each of cells, delta, fleet, incidents, seen and lost. */
  constructor(handlers) {
    this.handlers = handlers;
    this.lastSeen = null;
    this.isLost = false;
  }

  start() {
    this.#connect();
    setInterval(() => this.#check(), CHECK_INTERVAL);
    window.addEventListener("online", () => this.isLost && this.#retry(0));
    // A page that the browser keeps for its Back button is shown again as it was left.
    window.addEventListener("pagehide", () => this.#stop());
    window.addEventListener("pageshow", (event) => event.persisted && this.#retry(0));
    document.addEventListener("visibilitychange", () => {
      if (!yieldsWhenHidden()) return;
      if (document.hidden) this.#stop();
      else this.#retry(0);
    });
  }

  async #connect() {
    if (this.#isConnecting) return;
    this.#isConnecting = true;
    try {
      const answer = await fetch("api/cells", { cache: "no-store", signal: AbortSignal.timeout(20_000) });
      if (!answer.ok) throw new Error(`the prober answers ${answer.status}`);
      const cells = await answer.json();
      this.handlers.cells(cells);
      if (!document.hidden || !yieldsWhenHidden()) this.#follow(cells.version);
    } catch {
      this.#lose();
    } finally {
      this.#isConnecting = false;
    }
  }

  #follow(version) {
    this.#stop();
    const take = {
      cells: (delta) => this.handlers.delta(delta),
      fleet: (fleet) => this.handlers.fleet(fleet),
      incidents: (incidents) => this.handlers.incidents(incidents),
    };
    const leave = followChanges(version, (name, data) => {
      if (this.#leave !== leave) return; // of an earlier stream
      if (name === "lost") this.#lose();
      else if (name === "reload") {
        this.#stop();
        this.#retry(RETRY_DELAYS[0]);
      } else {
        this.#seen();
        take[name](data);
      }
    });
    this.#leave = leave;
    this.#seen();
  }

  #seen() {
    this.lastSeen = new Date();
    this.#attempts = 0;
    this.isLost = false;
    this.handlers.seen();
  }

  #lose() {
    this.#stop();
    this.isLost = true;
    this.handlers.lost(this.lastSeen);
    this.#retry(RETRY_DELAYS[Math.min(this.#attempts, RETRY_DELAYS.length - 1)]);
    this.#attempts += 1;
  }

  #stop() {
    clearTimeout(this.#retryTimer);
    this.#leave?.();
    this.#leave = null;
  }

  #retry(after) {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#connect(), after);
  }

  #check() {
    if (this.isLost) this.handlers.lost(this.lastSeen);
    else if (this.#leave !== null && Date.now() - this.lastSeen.getTime() > MAX_SILENCE) this.#lose();
  }
}

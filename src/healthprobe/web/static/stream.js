// The stream of changes from the prober, which is either connected or shown as lost.

const MAX_SILENCE = 4_000;
const RETRY_DELAYS = [500, 1_000, 2_000, 4_000];
const CHECK_INTERVAL = 500;

/**
 * Reads the cells and follows their changes. After a lost connection it reads them again, as the prober may have restarted.
 * The prober sends something every second, so silence means a lost connection, even if the browser has not noticed.
 */
export class Stream {
  #source = null;
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
  }

  async #connect() {
    if (this.#isConnecting) return;
    this.#isConnecting = true;
    try {
      const answer = await fetch("/api/cells", { cache: "no-store", signal: AbortSignal.timeout(20_000) });
      if (!answer.ok) throw new Error(`the prober answers ${answer.status}`);
      const cells = await answer.json();
      this.handlers.cells(cells);
      this.#follow(cells.version);
    } catch {
      this.#lose();
    } finally {
      this.#isConnecting = false;
    }
  }

  #follow(version) {
    this.#source?.close();
    const source = new EventSource(`/api/cells/stream?after=${version}`);
    this.#source = source;
    this.#seen();
    const on = (name, take) =>
      source.addEventListener(name, (event) => {
        if (source !== this.#source) return;
        this.#seen();
        take(JSON.parse(event.data));
      });
    on("cells", (delta) => this.handlers.delta(delta));
    on("fleet", (fleet) => this.handlers.fleet(fleet));
    on("incidents", (incidents) => this.handlers.incidents(incidents));
    on("reload", () => {
      source.close();
      this.#retry(RETRY_DELAYS[0]);
    });
    source.addEventListener("error", () => source === this.#source && this.#lose());
  }

  #seen() {
    this.lastSeen = new Date();
    this.#attempts = 0;
    this.isLost = false;
    this.handlers.seen();
  }

  #lose() {
    this.#source?.close();
    this.#source = null;
    this.isLost = true;
    this.handlers.lost(this.lastSeen);
    this.#retry(RETRY_DELAYS[Math.min(this.#attempts, RETRY_DELAYS.length - 1)]);
    this.#attempts += 1;
  }

  #retry(after) {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#connect(), after);
  }

  #check() {
    if (this.isLost) this.handlers.lost(this.lastSeen);
    else if (this.#source !== null && Date.now() - this.lastSeen.getTime() > MAX_SILENCE) this.#lose();
  }
}

// The stream: one connection to the prober, which is either alive or said to be dead.

const SILENCE = 4_000;
const AGAIN_AFTER = [500, 1_000, 2_000, 4_000];
const LOOK_EVERY = 500;

/**
 * Reads the cells and follows what changes in them. After any break it reads them again: the prober may be another one.
 * The prober speaks once a second, so that silence says that the connection is dead, whatever the browser thinks.
 */
export class Stream {
  #source = null;
  #attempts = 0;
  #again = 0;
  #isAsking = false;

  /** `hear` has a function for each of cells, delta, fleet, incidents, seen and lost. */
  constructor(hear) {
    this.hear = hear;
    this.lastSeen = null;
    this.isLost = false;
  }

  start() {
    this.#connect();
    setInterval(() => this.#look(), LOOK_EVERY);
    window.addEventListener("online", () => this.isLost && this.#tryAgain(0));
  }

  async #connect() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      const answer = await fetch("/api/cells", { cache: "no-store", signal: AbortSignal.timeout(20_000) });
      if (!answer.ok) throw new Error(`the prober answers ${answer.status}`);
      const cells = await answer.json();
      this.hear.cells(cells);
      this.#follow(cells.version);
    } catch {
      this.#lose();
    } finally {
      this.#isAsking = false;
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
    on("cells", (delta) => this.hear.delta(delta));
    on("fleet", (fleet) => this.hear.fleet(fleet));
    on("incidents", (incidents) => this.hear.incidents(incidents));
    on("reload", () => {
      source.close();
      this.#tryAgain(AGAIN_AFTER[0]);
    });
    source.addEventListener("error", () => source === this.#source && this.#lose());
  }

  #seen() {
    this.lastSeen = new Date();
    this.#attempts = 0;
    this.isLost = false;
    this.hear.seen();
  }

  #lose() {
    this.#source?.close();
    this.#source = null;
    this.isLost = true;
    this.hear.lost(this.lastSeen);
    this.#tryAgain(AGAIN_AFTER[Math.min(this.#attempts, AGAIN_AFTER.length - 1)]);
    this.#attempts += 1;
  }

  #tryAgain(after) {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#connect(), after);
  }

  #look() {
    if (this.isLost) this.hear.lost(this.lastSeen);
    else if (this.#source !== null && Date.now() - this.lastSeen.getTime() > SILENCE) this.#lose();
  }
}

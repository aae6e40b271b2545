// The connection to the server: one WebSocket per camera, opened again whenever it breaks.

const SHORTEST_PAUSE = 400;
const LONGEST_PAUSE = 4000;
// The server says something twice a second; after this silence the connection is dead.
const SILENCE = 6000;

// Codes with which the server closes, see pipeline/stream/web/live.py.
const REASONS = {
  4404: "There is no such camera any more",
  4503: "Too many viewers are watching; waiting for a free place",
  4429: "The server closed a connection that was too busy",
};

export class Connection {
  // events: picture(ArrayBuffer) -> Promise, words(object), away(text), here()
  constructor(events) {
    this.events = events;
    this.camera = 0;
    this.pause = SHORTEST_PAUSE;
    this.unanswered = 0;
    document.addEventListener("visibilitychange", () => this.answerAll());
    setInterval(() => this.lookAround(), 1000);
  }

  watch(camera) {
    this.camera = camera;
    this.pause = SHORTEST_PAUSE;
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    this.socket?.close();
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/live/${this.camera}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heard = performance.now();
    this.unanswered = 0;
    socket.onmessage = (message) => {
      if (socket !== this.socket) return; // of a tab that was left
      this.heard = performance.now();
      if (typeof message.data === "string") {
        this.pause = SHORTEST_PAUSE;
        this.events.here();
        this.events.words(JSON.parse(message.data));
      } else {
        this.show(socket, message.data);
      }
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.retry(REASONS[event.code]);
    };
  }

  // A picture is answered once it is shown: the server sends no faster than this browser draws.
  async show(socket, data) {
    try {
      await this.events.picture(data);
    } finally {
      if (socket === this.socket) {
        this.unanswered += 1;
        this.answerAll();
      }
    }
  }

  // A page that nobody sees answers nothing, and soon costs the server nothing.
  answerAll() {
    if (document.hidden && !this.events.neededWhileHidden()) return;
    for (; this.unanswered > 0; this.unanswered -= 1) {
      if (this.socket.readyState === WebSocket.OPEN) this.socket.send("a");
    }
  }

  lookAround() {
    const silent = performance.now() - this.heard > SILENCE;
    if (silent && this.socket?.readyState === WebSocket.OPEN && !document.hidden) {
      this.socket.onclose = null;
      this.socket.close();
      this.retry();
    }
  }

  async retry(reason) {
    this.socket = null;
    this.events.away(reason ?? "The server cannot be reached; trying again");
    const pause = this.pause;
    this.pause = Math.min(LONGEST_PAUSE, pause * 1.6);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), pause * (0.8 + 0.4 * Math.random()));
    if (!reason && (await wantsToken())) {
      this.events.away("The server wants its token: open the address that it logged");
    }
  }
}

// A refused WebSocket does not say why; the same request as a page does.
async function wantsToken() {
  try {
    return (await fetch("/healthz")).status === 401;
  } catch {
    return false;
  }
}

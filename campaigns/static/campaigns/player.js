// In: [data-player] with an <audio>, turns with [data-at] (seconds of the talk). Out: a waveform one
// can click, speed, keys, and the turn that is heard marked. Without it the browser's own player is
// there; what cannot be drawn or played is said.
"use strict";

(() => {
  const COLUMNS = 1200;
  const RATE = 8000; // enough to draw, and little memory
  const LARGEST = 30_000_000;
  const STEP = 5;
  const SPEED_KEY = "callboard.speed";
  const players = [];
  let active = null;

  const clock = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds || 0));
    return `${String(Math.floor(whole / 60)).padStart(2, "0")}:${String(whole % 60).padStart(2, "0")}`;
  };

  class Player {
    constructor(root) {
      this.root = root;
      this.audio = root.querySelector("audio");
      this.wave = root.querySelector("[data-wave]");
      this.canvas = this.wave.querySelector("canvas");
      this.select = root.querySelector("[data-speed] select");
      this.peaks = null;
      this.shift = 0;
      for (const hidden of root.querySelectorAll("[data-wave], [data-speed], [data-keys]")) {
        hidden.hidden = false;
      }
      this.listen();
      this.setSpeed(Number(readSpeed()) || 1);
      if (this.audio.readyState > 0) this.measure();
      if (this.audio.error) this.note("unplayed");
    }

    listen() {
      const { audio, wave } = this;
      audio.addEventListener("loadedmetadata", () => this.measure());
      audio.addEventListener("error", () => this.note("unplayed"));
      audio.addEventListener("play", () => {
        for (const other of players) if (other !== this) other.audio.pause();
        active = this;
        this.follow();
      });
      for (const name of ["timeupdate", "seeked", "pause"]) {
        audio.addEventListener(name, () => this.show());
      }
      audio.addEventListener("ratechange", () => this.setSpeed(audio.playbackRate));
      this.select.addEventListener("change", () => this.setSpeed(Number(this.select.value)));
      wave.addEventListener("pointerdown", (event) => {
        const box = wave.getBoundingClientRect();
        this.seek(((event.clientX - box.left) / box.width) * this.length());
      });
      wave.addEventListener("keydown", (event) => {
        if (event.key === "Home") this.seek(0);
        else if (event.key === "End") this.seek(this.length());
        else return;
        event.preventDefault();
      });
      new ResizeObserver(() => this.draw()).observe(wave);
      new MutationObserver(() => this.draw()).observe(document.documentElement, {
        attributeFilter: ["class"],
      });
    }

    length() {
      return Number.isFinite(this.audio.duration) ? this.audio.duration : 0;
    }

    note(name) {
      const told = this.root.querySelector(`[data-note="${name}"]`);
      if (told) told.hidden = false;
    }

    // Where the talk begins in the sound: at once, or after the ringing, as its length says.
    measure() {
      const talk = Number(this.root.dataset.talk);
      const lead = Number(this.root.dataset.lead);
      const length = this.length();
      this.wave.setAttribute("aria-valuemax", length.toFixed(1));
      if (talk && length) {
        const plain = Math.abs(length - talk);
        const rung = Math.abs(length - talk - lead);
        this.shift = lead >= 1 && rung < plain ? lead : 0;
        if (Math.min(plain, rung) > 3) this.note("unsure");
      }
      this.show();
    }

    async load() {
      if (Number(this.root.dataset.bytes) > LARGEST) return this.note("undrawn");
      try {
        const reply = await fetch(this.audio.currentSrc || this.audio.src, { redirect: "error" });
        if (!reply.ok) throw new Error(String(reply.status));
        const decoder = new OfflineAudioContext(1, 1, RATE);
        const sound = await decoder.decodeAudioData(await reply.arrayBuffer());
        this.peaks = findPeaks(sound);
        this.wave.dataset.drawn = "1";
        this.draw();
      } catch {
        this.note("undrawn");
      }
      return undefined;
    }

    seek(seconds) {
      active = this;
      const target = Math.max(0, Math.min(seconds, this.length() || seconds));
      this.audio.currentTime = target;
      this.show();
    }

    toggle() {
      if (this.audio.paused) this.play();
      else this.audio.pause();
    }

    play() {
      this.audio.play().catch(() => {});
    }

    setSpeed(speed) {
      const choices = [...this.select.options].map((option) => Number(option.value));
      if (!choices.includes(speed)) return;
      if (this.audio.playbackRate !== speed) this.audio.playbackRate = speed;
      this.select.value = String(speed);
      try {
        localStorage.setItem(SPEED_KEY, String(speed));
      } catch {
        // a browser that keeps nothing
      }
    }

    stepSpeed(by) {
      const { options, selectedIndex } = this.select;
      const next = options[Math.max(0, Math.min(options.length - 1, selectedIndex + by))];
      this.setSpeed(Number(next.value));
    }

    follow() {
      this.show();
      if (!this.audio.paused) requestAnimationFrame(() => this.follow());
    }

    show() {
      const now = this.audio.currentTime;
      this.wave.setAttribute("aria-valuenow", now.toFixed(1));
      this.wave.setAttribute("aria-valuetext", `${clock(now)} / ${clock(this.length())}`);
      this.draw();
      if (active === this && (now > 0 || marked)) mark(now - this.shift, !this.audio.paused);
    }

    draw() {
      const { canvas, peaks } = this;
      const width = canvas.clientWidth;
      const height = canvas.clientHeight;
      if (!width || !height) return;
      const scale = window.devicePixelRatio || 1;
      if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
      if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
      const style = getComputedStyle(canvas);
      const brush = canvas.getContext("2d");
      brush.setTransform(scale, 0, 0, scale, 0, 0);
      brush.clearRect(0, 0, width, height);
      const length = this.length();
      const done = length ? (this.audio.currentTime / length) * width : 0;
      const [heard, rest] = [style.getPropertyValue("--cb-heard"), style.getPropertyValue("--cb-rest")];
      for (let x = 0; x < width; x += 3) {
        const from = Math.floor((x / width) * COLUMNS);
        const to = Math.max(from + 1, Math.floor(((x + 3) / width) * COLUMNS));
        let peak = 0;
        for (let i = from; peaks && i < to && i < COLUMNS; i += 1) peak = Math.max(peak, peaks[i]);
        const tall = Math.max(2, peak * (height - 10));
        brush.fillStyle = x < done ? heard : rest;
        brush.fillRect(x, (height - 6 - tall) / 2, 2, tall);
      }
      if (length) {
        for (const turn of turns) {
          brush.fillStyle = getComputedStyle(canvas).getPropertyValue(`--cb-${turn.role}`);
          brush.fillRect(((turn.at + this.shift) / length) * width, height - 5, 2, 5);
        }
        brush.fillStyle = style.getPropertyValue("--cb-strong");
        brush.fillRect(Math.min(width - 1.5, done), 0, 1.5, height);
      }
    }
  }

  // The loudest of each column, the loudest of all being 1.
  function findPeaks(sound) {
    const peaks = new Float32Array(COLUMNS);
    for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
      const samples = sound.getChannelData(channel);
      const step = samples.length / COLUMNS;
      for (let i = 0; i < COLUMNS; i += 1) {
        const end = Math.min(samples.length, Math.floor((i + 1) * step));
        for (let n = Math.floor(i * step); n < end; n += 1) {
          const loud = Math.abs(samples[n]);
          if (loud > peaks[i]) peaks[i] = loud;
        }
      }
    }
    const top = Math.max(...peaks);
    return top > 0 ? peaks.map((peak) => peak / top) : peaks;
  }

  function readSpeed() {
    try {
      return localStorage.getItem(SPEED_KEY);
    } catch {
      return null;
    }
  }

  // ------------------------------------------------------------------------------- the transcript

  let turns = [];
  let marked = null;

  function listTurns() {
    return [...document.querySelectorAll("[data-at]")].map((element) => ({
      element,
      at: Number(element.dataset.at),
      role: ["robot", "contact", "agent"].find((role) => element.classList.contains(role)),
    }));
  }

  function findTurn(second) {
    let found = null;
    for (const turn of turns) {
      if (turn.at <= second + 0.05 && (!found || turn.at >= found.at)) found = turn;
    }
    return found;
  }

  function mark(second, playing) {
    const turn = second < 0 ? null : findTurn(second);
    if (turn === marked) return;
    if (marked) marked.element.removeAttribute("aria-current");
    marked = turn;
    if (!turn) return;
    turn.element.setAttribute("aria-current", "true");
    if (playing) turn.element.scrollIntoView({ block: "nearest" });
  }

  function hear(turn) {
    if (!active || !turn) return;
    active.seek(turn.at + active.shift);
    active.play();
  }

  function stepTurn(by) {
    if (!turns.length) return;
    const ordered = [...turns].sort((one, other) => one.at - other.at);
    const here = ordered.indexOf(marked);
    hear(ordered[Math.max(0, Math.min(ordered.length - 1, here + by))]);
  }

  // ------------------------------------------------------------------------------------- the keys

  // Whoever types, chooses or presses a button means that, and not the player.
  function isTaken(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return true;
    const on = event.target.closest("input, textarea, select, audio, [contenteditable]");
    if (on) return true;
    const pressed = event.target.closest("button, a, summary");
    return Boolean(pressed) && (event.key === " " || event.key === "Enter");
  }

  function press(event) {
    if (!active || isTaken(event)) return;
    const keys = {
      " ": () => active.toggle(),
      ArrowLeft: () => active.seek(active.audio.currentTime - STEP),
      ArrowRight: () => active.seek(active.audio.currentTime + STEP),
      "-": () => active.stepSpeed(-1),
      "+": () => active.stepSpeed(1),
      "=": () => active.stepSpeed(1),
      j: () => stepTurn(1),
      k: () => stepTurn(-1),
    };
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  document.addEventListener("DOMContentLoaded", () => {
    turns = listTurns();
    for (const root of document.querySelectorAll("[data-player]")) {
      if (root.querySelector("audio")) players.push(new Player(root));
    }
    if (!players.length) return;
    [active] = players;
    for (const player of players) player.load();
    document.addEventListener("keydown", press);
    document.addEventListener("click", (event) => {
      const jump = event.target.closest("[data-jump]");
      const element = jump
        ? document.querySelector(jump.getAttribute("href"))
        : event.target.closest("[data-at]");
      const turn = turns.find((one) => one.element === element);
      if (!turn) return;
      const button = event.target.closest("[data-hear]");
      if (!button && !jump) {
        if (event.target.closest("a, button, summary, input")) return;
        if (String(window.getSelection())) return; // words are being chosen to be copied
      }
      hear(turn);
    });
  });
})();

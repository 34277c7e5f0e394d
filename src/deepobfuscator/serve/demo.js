// Encode a picture here, send the message, show the answer and what an attacker rebuilds.

import { filming, fitted, jpegSize, opened, pixels, shown, snapshot } from "./picture.js";

const CONTENT = "application/x-deepobfuscator-message";
const SHOWN_BYTES = 4096, SHOWN_BITS = 256, MOST_THREADS = 4;
const get = (id) => document.getElementById(id);
const status = get("status");
const number = (value) => value.toLocaleString("en");

let models, model, runtime, picture;
let work = Promise.resolve();
const sessions = new Map();

function say(text, failed = false) {
  status.textContent = text;
  status.classList.toggle("failed", failed);
}

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** A graph of a model, loaded once. */
function session({ model: id }, file) {
  const address = `${id}/${file}`;
  if (!sessions.has(address)) {
    const made = runtime.InferenceSession.create(address, { executionProviders: ["wasm"] });
    made.catch(() => sessions.delete(address));
    sessions.set(address, made);
  }
  return sessions.get(address);
}

/** The message of docs/wire.md, uncompressed: browsers have no zstd. */
function message(payload, { model: id, wire }) {
  const made = new Uint8Array(12 + payload.length);
  made.set([0x44, 0x4f, 1, wire.bits, 1, 0]);
  made.set(id.match(/../g).map((digits) => parseInt(digits, 16)), 6);
  made.set(payload, 12);
  return made;
}

async function asked(sent, { name }) {
  const headers = { "Content-Type": CONTENT };
  const key = get("key").querySelector("input").value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch(`/v2/models/${encodeURIComponent(name)}/message`, {
    method: "POST", headers, body: sent, credentials: "omit",
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`the server refuses (${response.status}): ${answer.error}`);
  return answer.answers[0];
}

/** A term with a small note, its value, and a bar of a share of the whole. */
function row(name, note, value, share, other = false) {
  const made = element("div", "", other ? "other" : "");
  const term = element("dt", name), bar = element("dd", "", "bar");
  bar.appendChild(element("i")).style.width = `${100 * Math.min(1, share)}%`;
  bar.setAttribute("aria-hidden", "true");
  if (note) term.append(element("small", note));
  made.append(term, element("dd", value, "value"), bar);
  return made;
}

function showAnswer(answer) {
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const rows = Object.entries(answer).flatMap(([name, { value, score, scores }]) =>
    scores
      ? Object.entries(scores).map(([kind, share]) =>
          row(`${name}: ${kind}`, "", percent(share), share, kind !== value))
      : [row(name, `score for yes: ${percent(score)}`, value ? "yes" : "no", score)]);
  get("told").replaceChildren(...rows);
}

function showMessage(sent, { wire }, jpeg, source) {
  const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(" ");
  const payload = sent.subarray(12), bytes = get("bytes"), code = get("code");
  const rest = payload.length - SHOWN_BYTES;
  const told = hex(payload.subarray(0, SHOWN_BYTES));
  bytes.replaceChildren(
    element("span", hex(sent.subarray(0, 12)), "head"), ` ${told}`,
    rest > 0 ? ` and ${number(rest)} bytes more` : "",
  );
  code.hidden = wire.bits !== 1 || wire.values > SHOWN_BITS;
  if (!code.hidden) {
    const bits = Array.from({ length: wire.values }, (_, i) => (payload[i >> 3] >> (i & 7)) & 1);
    code.replaceChildren(...bits.map((bit) => element("i", "", bit ? "one" : "")));
    code.setAttribute("aria-label", `${bits.length} bits: ${bits.join(" ")}`);
  }
  const each = `${number(wire.values)} values of ${wire.bits} ${wire.bits === 1 ? "bit" : "bits"}`;
  const largest = Math.max(sent.length, jpeg.bytes);
  get("sizes").replaceChildren(
    row("Message", `12 bytes of header, ${each}`, `${number(sent.length)} bytes`,
      sent.length / largest),
    row("Original as JPEG", `${jpeg.size}, quality 75`, `${number(jpeg.bytes)} bytes`,
      jpeg.bytes / largest, true),
  );
  get("file-size").textContent =
    source ? `The file itself, ${source.size}, has ${number(source.bytes)} bytes.` : "";
}

/** Encode, ask, rebuild: in this order, so that the server answers before the attacker works. */
async function show() {
  const now = { model, picture }, { size } = model;
  say("Encoding in this browser…");
  const encoder = await session(now.model, now.model.edge);
  const { canvas } = now.picture;
  const given = new runtime.Tensor("uint8", pixels(canvas), [1, canvas.height, canvas.width, 3]);
  const began = performance.now();
  const { payload } = await encoder.run({ pictures: given });
  const seconds = (performance.now() - began) / 1000;
  const sent = message(
    new Uint8Array(payload.data.buffer, payload.data.byteOffset, payload.data.byteLength), now.model);
  const answer = await asked(sent, now.model);

  fitted(canvas, get("original"), size);
  const text = `${size[1]}\u00a0×\u00a0${size[0]}\u00a0px`;
  get("original-size").textContent = `as the encoder takes it, ${text}`;
  const source = now.picture.bytes &&
    { size: `${canvas.width}\u00a0×\u00a0${canvas.height}\u00a0px`, bytes: now.picture.bytes };
  showMessage(sent, now.model, { bytes: await jpegSize(get("original")), size: text }, source);
  showAnswer(answer);
  await showAttack(payload, now.model, sent.length);
  get("results").hidden = false;
  say(`Encoded in ${seconds.toFixed(2)} s, ${number(sent.length)} bytes sent.`);
}

async function showAttack(payload, { attacker, model: id, size }, length) {
  get("attack").hidden = !attacker;
  get("pictures-title").textContent =
    attacker ? "The picture, and what an attacker makes of the message" : "The picture";
  get("caution").textContent = attacker
    ? "The attacker was trained on other people’s messages and runs here, on the message alone. " +
      "It draws a face in any case: the audit’s report measures how much of it is this picture."
    : "This model was exported without an attacker: --attacker of the command export trains one.";
  if (!attacker) return;
  const decoder = await session({ model: id }, "attacker.onnx");
  const { rebuilt } = await decoder.run({ payload });
  shown(rebuilt.data, get("rebuilt"), size);
  const known = attacker.attack
    ? ` (${attacker.attack}, trained on ${number(attacker.trained_on)} pictures)` : "";
  get("attacker").textContent = `from the ${number(length)} bytes alone${known}`;
}

/** One picture after the other: a graph cannot run twice at once. */
function queue() {
  if (!picture) return;
  const wanted = { model, picture };
  work = work.then(async () => {
    if (wanted.model !== model || wanted.picture !== picture) return;
    try {
      await show();
    } catch (error) {
      get("results").hidden = true;
      say(`That did not work: ${error.message}`, true);
    }
  });
}

function choose(chosen) {
  model = chosen;
  const { defence, private: secrets, audit, size } = model;
  get("about").textContent = `${defence ? `Defence: ${defence}. ` : ""}The encoder takes the middle ` +
    `of the picture at ${size[1]}\u00a0×\u00a0${size[0]}\u00a0px: let the face fill it.`;
  get("private").textContent = [
    secrets.length ? `Trained to hide: ${secrets.join(", ")}.` : "", audit ?? "",
  ].join(" ").trim();
  get("key").hidden = !model.keys;
  queue();
}

async function take(file) {
  try {
    picture = { canvas: await opened(file), bytes: file.size };
  } catch {
    say(`This browser cannot read ${file.name} as a picture: take a JPEG or PNG.`, true);
    return;
  }
  queue();
}

function watchCamera() {
  const live = get("live"), video = live.querySelector("video");
  const button = get("camera"), trigger = get("take");
  let end = () => {};
  const close = () => {
    end();
    end = () => {};
    live.hidden = true;
    button.disabled = false;
    button.focus();
  };
  if (!navigator.mediaDevices?.getUserMedia) {
    button.title = "Browsers lend the camera to https and localhost only";
    button.textContent = "Camera: needs https";
    return;
  }
  button.disabled = false;
  button.onclick = async () => {
    button.disabled = trigger.disabled = true;
    live.hidden = false;
    try {
      end = await filming(video);
    } catch (error) {
      close();
      say(`The camera cannot be used: ${error.message}`, true);
      return;
    }
    if (live.hidden) close();
    trigger.disabled = false;
    trigger.focus();
  };
  get("stop").onclick = close;
  trigger.onclick = () => {
    picture = { canvas: snapshot(video) };
    close();
    queue();
  };
}

function watchFiles() {
  get("file").disabled = false;
  get("file").onchange = ({ target }) => target.files[0] && take(target.files[0]);
  get("asked").onsubmit = (event) => {
    event.preventDefault();
    queue();
  };
  document.ondragover = (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  };
  document.ondragleave = () => document.body.classList.remove("over");
  document.ondrop = (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  };
}

function showModels() {
  const choices = models.map((each, i) => {
    const label = element("label", each.name), input = element("input");
    Object.assign(input, { type: "radio", name: "model", checked: i === 0 });
    input.onchange = () => choose(each);
    label.prepend(input);
    return label;
  });
  get("models").hidden = models.length < 2;
  get("models").querySelector(".choices").replaceChildren(...choices);
}

async function start() {
  models = await (await fetch("models.json")).json();
  const folder = new URL(`ort-${models[0].runtime}/`, location.href).href;
  runtime = await import(`${folder}ort.wasm.min.mjs`);
  runtime.env.wasm.wasmPaths = folder;
  runtime.env.wasm.numThreads =
    self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
  await session(models[0], models[0].edge);
  showModels();
  choose(models[0]);
  watchFiles();
  watchCamera();
  say("Choose a picture, drop one here, or use the camera.");
}

start().catch((error) => say(`The encoder cannot be loaded: ${error.message}`, true));

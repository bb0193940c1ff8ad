// Labels rows by keys: draws the state that the server gives, and sends what is said. It decides nothing.
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const KEYS = "123456789abcdefghijklmnopqrstuvwxyz";
  const LONG = 400; // characters from which on a text is set smaller
  let state = null;
  let busy = false;
  let shown = []; // labels that fit what is typed
  let chosen = 0; // the place among them that Enter takes; -1: none
  const find = at("find");

  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const percent = (share) => (share === null ? "" : `${Math.round(100 * share)} %`);
  const lettered = () => state.labels.length <= KEYS.length; // else letters look for a label
  const keyOf = (place) => (place < (lettered() ? KEYS.length : 9) ? KEYS[place] : "");

  function drawProgress() {
    const { labelled, drawn, skipped, unsure, rows, given } = state.counts;
    const parts = [`${labelled + given} of ${rows} labelled`, `${drawn} of them drawn at random`];
    if (given) parts.push(`${given} had a label before`);
    if (skipped) parts.push(`${skipped} for later`);
    if (unsure) parts.push(`${unsure} not sure`);
    const bar = make("span", undefined, "bar-of");
    const part = make("i");
    part.style.width = `${(100 * (labelled + given)) / rows}%`;
    bar.append(part);
    bar.setAttribute("aria-hidden", "true");
    const first = make("b", parts[0]);
    at("progress").replaceChildren(first, ` · ${parts.slice(1).join(" · ")}`, bar);
  }

  function drawRow() {
    const row = state.row;
    const place = at("row");
    at("how").textContent = !row
      ? "Every row has been asked."
      : row.drawn
        ? "Drawn at random: it may test, so nothing is suggested."
        : "Chosen: it teaches most, and is trained on only.";
    if (!row) {
      place.replaceChildren(make("p", "Nothing is left to label. Ctrl-C in the terminal ends the page."));
      return;
    }
    const list = make("dl");
    for (const field of row.fields) {
      const name = make("dt", field.name);
      if (row.fields.length === 1) name.className = "hide";
      const text = make("dd", field.text + (field.more ? ` … (${field.more.toLocaleString("en")} more characters)` : ""));
      text.dir = "auto";
      if (field.text.length > LONG) text.classList.add("long");
      list.append(name, text);
    }
    place.replaceChildren(list);
    place.scrollTop = 0;
  }

  function drawSuggestion() {
    const guess = state.suggestion;
    const place = at("suggestion");
    place.hidden = !guess || !state.row;
    if (place.hidden) return;
    const label = make("b", guess.label);
    label.dir = "auto";
    const sure = guess.probability === null ? "" : `, ${percent(guess.probability)}`;
    place.replaceChildren(make("kbd", "Enter"), " takes ", label, `${sure} (${guess.source})`);
  }

  function fits() {
    const typed = find.value.trim().toLowerCase();
    const all = state.labels.map((label, place) => ({ ...label, place }));
    if (!typed) return all;
    const words = typed.split(/\s+/);
    const own = all.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
    const first = ({ name }) => (name.toLowerCase() === typed ? 0 : name.toLowerCase().startsWith(typed) ? 1 : 2);
    return own.sort((a, b) => first(a) - first(b) || a.place - b.place);
  }

  function drawLabels() {
    const guess = state.row && state.suggestion;
    const typed = find.value.trim();
    shown = fits();
    if (!typed) chosen = guess ? shown.findIndex(({ name }) => name === guess.label) : -1;
    chosen = Math.min(chosen, shown.length - 1);
    const items = shown.map((label, n) => {
      const item = make("li");
      item.id = `label-${label.place}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", String(n === chosen));
      const key = keyOf(label.place);
      if (key) item.append(make("kbd", key));
      const name = make("span", label.name, "name");
      name.dir = "auto";
      item.append(name);
      if (guess && label.name === guess.label) {
        item.classList.add("suggested");
        item.append(make("span", percent(guess.probability), "guess"));
      }
      item.append(make("span", label.count ? String(label.count) : "", "count"));
      item.addEventListener("click", () => give(label.name));
      return item;
    });
    at("labels").replaceChildren(...items);
    at("labels").hidden = !items.length;
    find.setAttribute("aria-activedescendant", chosen >= 0 ? `label-${shown[chosen].place}` : "");
    const exact = state.labels.some(({ name }) => name === typed);
    at("find-help").textContent = !typed
      ? state.labels.length
        ? ""
        : "No label yet: press / and type the first one, then Enter."
      : shown.length
        ? `Enter takes “${shown[Math.max(0, chosen)].name}”${exact ? "" : `; Shift+Enter adds “${typed}” as a new label`}.`
        : `Enter adds “${typed}” as a new label.`;
    if (chosen >= 0 && items[chosen]) items[chosen].scrollIntoView({ block: "nearest" });
  }

  function drawRest() {
    const advice = at("advice");
    advice.replaceChildren(...state.advice.lines.map((line) => make("p", line)));
    advice.classList.toggle("stop", state.advice.stop);
    const last = state.last;
    const what = last && { label: `“${last.label}”`, skip: "later", unsure: "not sure" }[last.action];
    at("last").textContent = last ? `Before: ${what} for “${last.text}”` : "";
  }

  function draw(next) {
    state = next;
    at("problem").hidden = !next.error;
    at("problem").textContent = next.error || "";
    find.value = "";
    drawProgress();
    drawRow();
    drawSuggestion();
    drawLabels();
    drawRest();
    document.documentElement.dataset.ready = state.row ? state.row.key : "done";
  }

  async function say(action, label = "") {
    if (busy || !state || (!state.row && action !== "undo")) return;
    busy = true;
    try {
      const body = JSON.stringify({ action, label, row: state.row ? state.row.key : "" });
      const answer = await fetch("/act", { method: "POST", body, headers: { "content-type": "application/json" } });
      draw(await answer.json());
      find.blur();
    } catch {
      at("problem").hidden = false;
      at("problem").textContent = "The page's server does not answer: this label was not kept. Start whichway label again; all labels before are there.";
    } finally {
      busy = false;
    }
  }

  const give = (name) => say("label", name);

  function inFind(event) {
    if (event.key === "Escape") {
      find.value = "";
      drawLabels();
      find.blur();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : -1;
      chosen = shown.length ? (Math.max(0, chosen) + (chosen < 0 && step > 0 ? 0 : step) + shown.length) % shown.length : -1;
      event.preventDefault();
      drawChosen();
    } else if (event.key === "Enter") {
      event.preventDefault();
      const typed = find.value.trim();
      if (typed && (event.shiftKey || !shown.length)) give(typed);
      else if (shown.length && (typed || chosen >= 0)) give(shown[Math.max(0, chosen)].name);
    }
  }

  function drawChosen() {
    [...at("labels").children].forEach((item, n) => item.setAttribute("aria-selected", String(n === chosen)));
    if (chosen < 0) return;
    find.setAttribute("aria-activedescendant", `label-${shown[chosen].place}`);
    at("labels").children[chosen].scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (!state || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target === find) {
      inFind(event);
      return;
    }
    if (event.target.closest("button") && (event.key === "Enter" || event.key === " ")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const place = KEYS.indexOf(key);
    if (key === "Backspace") say("undo");
    else if (key === " ") say("skip");
    else if (key === "?") say("unsure");
    else if (key === "Enter") {
      if (state.suggestion && !event.repeat) give(state.suggestion.label);
    } else if (key === "/" || key === "+") find.focus();
    else if (key.length === 1 && place >= 0 && keyOf(place) === key) {
      if (!event.repeat && state.labels[place]) give(state.labels[place].name);
    } else if (key.length === 1 && /\p{L}/u.test(key)) {
      find.focus(); // the key itself goes on into the field
      return;
    } else return;
    event.preventDefault();
  });

  find.addEventListener("input", () => {
    chosen = find.value.trim() ? 0 : -1;
    drawLabels();
  });
  for (const button of document.querySelectorAll("[data-act]")) {
    button.addEventListener("click", () => say(button.dataset.act));
  }
  fetch("/state").then(async (answer) => draw(await answer.json()));
})();

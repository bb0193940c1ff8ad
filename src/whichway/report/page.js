"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const kinds = new Map(data.ways);
  const list = document.querySelector("ol.rows");
  const form = document.querySelector("form.filters");
  const more = document.getElementById("more");
  const STEP = 50;
  let found = [];
  let shown = 0;

  // Row text comes from outside: it is only ever set as text, never as HTML.
  function make(tag, name, ...children) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...children);
    return element;
  }

  const marks = new Map();
  for (const mark of document.querySelectorAll("svg.mark")) {
    marks.set(mark.classList[1], mark);
  }

  function voice([way, note]) {
    const element = make("span", way === data.choice ? "way choice" : "way");
    const mark = marks.get("k-" + kinds.get(way));
    if (mark) {
      const copy = mark.cloneNode(true);
      copy.setAttribute("width", 9);
      copy.setAttribute("height", 9);
      element.append(copy);
    }
    element.append(way);
    if (note) element.append(" ", make("small", "", note));
    return element;
  }

  function draw([number, origin, text, gold, , , groups]) {
    const sayings = make("ul", "sayings");
    for (const [said, state, voices] of groups) {
      const empty = state === "missing" ? "no answer" : "(empty)";
      sayings.append(make("li", state, make("span", "said", said || empty), make("span", "voices", ...voices.map(voice))));
    }
    const question = make("div", "question", make("p", "text", text), make("p", "meta", origin || String(number)));
    return make("li", "row", question, make("div", "gold", make("span", "hide", "wanted: "), gold), sayings);
  }

  function grow() {
    const next = found.slice(shown, shown + STEP);
    list.append(...next.map(draw));
    shown += next.length;
    more.hidden = shown >= found.length;
    form.querySelector("output").textContent =
      shown < found.length ? `${shown} of ${found.length} rows` : `${found.length} row${found.length === 1 ? "" : "s"}`;
  }

  function filter() {
    const show = form.elements.show.value;
    const label = form.elements.label ? form.elements.label.value : "";
    const find = form.elements.find.value.trim().toLowerCase();
    found = data.rows.filter((row) => {
      if (show === "wrong" && !row[4]) return false;
      if (show === "differ" && !row[5]) return false;
      if (label && row[3] !== label) return false;
      return !find || [row[1], row[2], row[3], ...row[6].map((g) => g[0])].some((t) => t.toLowerCase().includes(find));
    });
    shown = 0;
    list.replaceChildren();
    grow();
  }

  async function copy(button) {
    const text = document.getElementById(button.dataset.copy).content.textContent;
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea", "hide", text);
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  }

  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.addEventListener("click", () => copy(button));
  }
  list.addEventListener("click", (event) => {
    const text = event.target.closest(".text");
    if (text && !String(getSelection())) text.classList.toggle("open");
  });
  more.addEventListener("click", grow);
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  document.documentElement.classList.add("scripted");
  filter();
})();

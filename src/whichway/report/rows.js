"use strict";
// The rows of the page: filters, links from numbers to their rows, notes. Row text is only ever set as text, never as HTML.
(async () => {
  const BLOCK = 40; // rows drawn and dropped together
  const ROW = 96; // pixels of a row before it is measured
  const STATES = ["right", "partly", "wrong", "unread", "missing"];
  const FLAGS = { wrong: 1, differ: 2, none: 4, flips: 8, doubtful: 16 };
  const list = document.querySelector("div.rows");
  const form = document.querySelector("form.filters");
  const store = document.getElementById("row-data");
  if (!list || !form || !store) return;

  async function unpack() {
    if (!store.dataset.packed) return JSON.parse(store.textContent);
    const raw = atob(store.textContent);
    const bytes = new Uint8Array(raw.length);
    for (let k = 0; k < raw.length; k += 1) bytes[k] = raw.charCodeAt(k);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return JSON.parse(await new Response(stream).text());
  }

  let data;
  try {
    data = await unpack();
  } catch {
    document.getElementById("unpacked").hidden = false; // an old browser: the rows in plain HTML stay
    return;
  }
  const { strings, cells, answers, golds, flags, lengths, numbers, texts } = data;
  const place = new Map(data.ways.map(([name], k) => [name, k]));
  const choice = place.has(data.choice) ? place.get(data.choice) : -1;
  const rowOf = new Map(numbers.map((number, k) => [number, k]));
  const lower = (text) => text.toLowerCase();
  const notes = readNotes();
  let query = {};
  let found = [];
  let haystack = null;

  // --- notes: kept in this browser, under the run's key

  function readNotes() {
    try {
      return new Map(Object.entries(JSON.parse(localStorage.getItem(data.key) || "{}")));
    } catch {
      return new Map(); // a browser that keeps nothing for files: notes last as long as the page
    }
  }

  function keepNote(number, text) {
    if (text.trim()) notes.set(String(number), text);
    else notes.delete(String(number));
    try {
      localStorage.setItem(data.key, JSON.stringify(Object.fromEntries(notes)));
    } catch {
      // as above
    }
    form.querySelector(".noted i").textContent = notes.size;
  }

  // --- drawing

  function make(tag, name, ...children) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...children);
    return element;
  }

  // Text of unknown direction: each piece is laid out by its own first strong letter.
  function words(tag, name, text) {
    const element = make(tag, name, text);
    element.dir = "auto";
    return element;
  }

  const marks = new Map();
  for (const mark of document.querySelectorAll("svg.mark")) marks.set(mark.classList[1], mark);

  function voice(way, cell) {
    const [name, kind] = data.ways[way];
    const element = make("span", way === choice ? "way choice" : "way");
    const mark = marks.get(`k-${kind}`);
    if (mark) {
      const copy = mark.cloneNode(true);
      copy.setAttribute("width", 9);
      copy.setAttribute("height", 9);
      element.append(copy);
    }
    element.append(name);
    if (strings[cell[4]]) element.append(" ", words("small", "", strings[cell[4]]));
    return element;
  }

  const normal = (text) => lower(text.split(/\s+/).filter(Boolean).join(" "));

  // Equal answers together: right ones first, then by score, then as the choice has them, then the most frequent.
  function groups(row) {
    const together = new Map();
    answers.forEach((column, way) => {
      const cell = cells[column[row]];
      const key = `${cell[1]} ${normal(strings[cell[0]])}`;
      if (!together.has(key)) together.set(key, { cell, ways: [] });
      together.get(key).ways.push([way, cell]);
    });
    const chosen = (group) => group.ways.some(([way]) => way === choice);
    return [...together.values()].sort(
      (a, b) =>
        a.cell[1] - b.cell[1] || b.cell[2] - a.cell[2] || chosen(b) - chosen(a) || b.ways.length - a.ways.length,
    );
  }

  function others(row) {
    const lines = [];
    answers.forEach((column, way) => {
      const more = cells[column[row]][6];
      for (let k = 0; k < more.length; k += 3) {
        const text = strings[more[k]] || "(empty)";
        lines.push(
          make("li", STATES[more[k + 1]], words("span", "said", text), make("span", "voices", `${data.ways[way][0]}, ${more[k + 2]} ×`)),
        );
      }
    });
    return lines;
  }

  function draw(row) {
    const sayings = make("ul", "sayings");
    for (const { cell, ways } of groups(row)) {
      const state = STATES[cell[1]];
      const empty = state === "missing" ? "no answer" : "(empty)";
      const by = make("span", "voices", ...ways.map(([way, own]) => voice(way, own)));
      sayings.append(make("li", state, words("span", "said", strings[cell[0]] || empty), by));
    }
    const number = numbers[row];
    const meta = make("p", "meta", data.origins[row] || String(number));
    if (data.believed[row]) meta.append(" · label doubtful: the ways agree on ", words("b", "", data.believed[row]));
    const question = make("div", "question", words("p", "text", texts[row]), meta);
    const gold = words("div", "gold", "");
    gold.append(make("span", "hide", "wanted: "), strings[golds[row]]);
    const element = make("li", "row", question, gold, sayings);
    const rest = others(row);
    if (rest.length) {
      const more = make("details", "others", make("summary", "", `${rest.length} other answer${rest.length > 1 ? "s" : ""} of seeds or draws`));
      more.append(make("ul", "sayings", ...rest));
      sayings.after(more);
    }
    const note = make("details", "note-of", make("summary", "", "Note"));
    const area = make("textarea");
    area.rows = 2;
    area.setAttribute("aria-label", `Note on row ${number}`);
    area.value = notes.get(String(number)) || "";
    note.open = Boolean(area.value);
    area.addEventListener("input", () => keepNote(number, area.value));
    note.append(area);
    question.append(note);
    return element;
  }

  // --- the list: only the blocks near the screen are drawn, the others keep their height

  let heights = [];
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const block = Number(target.dataset.block);
        if (isIntersecting && !target.hasChildNodes()) {
          fill(target, block);
        } else if (!isIntersecting && block > 0 && target.hasChildNodes() && !target.contains(document.activeElement)) {
          heights[block] = target.offsetHeight || heights[block];
          target.replaceChildren();
          target.style.height = `${heights[block]}px`;
        }
      }
    },
    { root: list, rootMargin: "1200px 0px" },
  );

  function fill(element, block) {
    element.style.height = "";
    element.append(...Array.from(found.slice(block * BLOCK, (block + 1) * BLOCK), draw));
  }

  function show() {
    watcher.disconnect();
    const blocks = Math.ceil(found.length / BLOCK);
    heights = Array.from({ length: blocks }, (_, k) => Math.min(BLOCK, found.length - k * BLOCK) * ROW);
    list.replaceChildren(
      ...heights.map((height, k) => {
        const element = make("ol", "block");
        element.dataset.block = k;
        element.style.height = `${height}px`;
        return element;
      }),
    );
    list.classList.toggle("many", found.length > BLOCK);
    list.scrollTop = 0;
    if (blocks) fill(list.firstElementChild, 0);
    for (const element of list.children) watcher.observe(element);
  }

  // --- filters

  const cellOf = (way, row) => cells[answers[place.get(way)][row]];
  const fails = (cell) => cell[2] < (data.binary ? 1 : data.half);
  const TESTS = {
    wrong: (ways) => (row) => ways.every((way) => fails(cellOf(way, row))),
    right: (ways) => (row) => ways.every((way) => !fails(cellOf(way, row))),
    unread: (way) => (row) => cellOf(way, row)[1] >= 3,
    flips: (way) => (row) => cellOf(way, row)[5] === 1,
    better: ([first, second]) => (row) => cellOf(first, row)[3] > cellOf(second, row)[3],
    gold: (label) => (row) => strings[golds[row]] === label,
    said: ([way, label]) => (row) => normal(strings[cellOf(way, row)[0]]) === normal(label),
    length: ([least, most]) => (row) => lengths[row] >= least && lengths[row] <= most,
    flag: (name) => (row) => (flags[row] & FLAGS[name]) !== 0,
    column: ([name, value]) => {
      const [, values, own] = data.columns.find((column) => column[0] === name) || [name, [], []];
      const wanted = values.indexOf(value);
      return (row) => own[row] === wanted;
    },
    group: (k) => {
      const own = new Set((data.groups[k] || ["", []])[1].map((number) => rowOf.get(number)));
      return (row) => own.has(row);
    },
    row: (number) => (row) => numbers[row] === number,
    noted: () => (row) => notes.has(String(numbers[row])),
  };
  const NAMES = {
    wrong: (ways) => `${ways.join(" and ")} wrong`,
    right: (ways) => `${ways.join(" and ")} right`,
    unread: (way) => `${way} unread`,
    flips: (way) => `${way} flips`,
    better: ([first, second]) => `${first} better than ${second}`,
    gold: (label) => `wanted: ${label}`,
    said: ([way, label]) => `${way} says: ${label}`,
    length: ([least, most]) => `${least} to ${most} characters`,
    column: ([name, value]) => `${name}: ${value}`,
    group: (k) => `group: ${(data.groups[k] || [""])[0]}`,
    row: (number) => `row ${number}`,
  };

  function searching(text) {
    const wanted = lower(text.trim());
    if (!wanted) return null;
    haystack ??= { texts: texts.map(lower), strings: strings.map(lower), origins: data.origins.map(lower) };
    const hits = new Set();
    haystack.strings.forEach((each, k) => each.includes(wanted) && hits.add(k));
    const within = cells.map((cell) => hits.has(cell[0]));
    return (row) =>
      haystack.texts[row].includes(wanted) ||
      hits.has(golds[row]) ||
      haystack.origins[row].includes(wanted) ||
      answers.some((column) => within[column[row]]);
  }

  const ORDERS = {
    number: (a, b) => numbers[a] - numbers[b],
    longest: (a, b) => lengths[b] - lengths[a],
    shortest: (a, b) => lengths[a] - lengths[b],
  };

  function conditions() {
    const fields = form.elements;
    const tests = Object.entries(query).map(([name, value]) => TESTS[name](value));
    const shown = fields.show.value;
    if (shown === "noted") tests.push(TESTS.noted());
    else if (shown !== "all") tests.push(TESTS.flag(shown));
    if (fields.label && fields.label.value) tests.push(TESTS.gold(fields.label.value));
    if (fields.way.value && fields.is.value) {
      const one = fields.is.value === "unread" || fields.is.value === "flips";
      tests.push(TESTS[fields.is.value](one ? fields.way.value : [fields.way.value]));
    }
    const least = Number(fields.least.value || 0);
    const most = fields.most.value ? Number(fields.most.value) : Infinity;
    if (least > 0 || most < Infinity) tests.push(TESTS.length([least, most]));
    const search = searching(fields.find.value);
    if (search) tests.push(search);
    return tests;
  }

  function filter() {
    const tests = conditions();
    found = [];
    for (let row = 0; row < numbers.length; row += 1) {
      if (tests.every((test) => test(row))) found.push(row);
    }
    const order = ORDERS[form.elements.sort.value];
    if (order) found.sort(order);
    form.querySelector("output").textContent = `${found.length.toLocaleString("en")} row${found.length === 1 ? "" : "s"}`;
    chips();
    show();
  }

  function chips() {
    const bar = form.querySelector(".chips");
    bar.replaceChildren(
      ...Object.entries(query).map(([name, value]) => {
        const chip = make("button", "chip", words("span", "", NAMES[name](value)), make("span", "", " ×"));
        chip.type = "button";
        chip.setAttribute("aria-label", `Remove: ${NAMES[name](value)}`);
        chip.addEventListener("click", () => {
          delete query[name];
          filter();
        });
        return chip;
      }),
    );
  }

  // A number on the page leads here: `data-rows` holds what its rows have in common.
  function follow(conditions) {
    const known = Object.entries(conditions).filter(([name, value]) => {
      const ways = { wrong: value, right: value, unread: [value], flips: [value], better: value, said: [value[0]] }[name] || [];
      return name in TESTS && ways.every((way) => place.has(way));
    });
    query = Object.fromEntries(known.filter(([name]) => name !== "flag"));
    form.reset();
    const flag = Object.fromEntries(known).flag;
    if (flag) form.elements.show.value = flag;
    filter();
    for (let fold = form.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    form.scrollIntoView();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-rows]");
    if (!link) return;
    event.preventDefault();
    history.pushState(null, "", `#rows=${encodeURIComponent(link.dataset.rows)}`);
    follow(JSON.parse(link.dataset.rows));
  });

  function fromAddress() {
    if (!location.hash.startsWith("#rows=")) return false;
    try {
      follow(JSON.parse(decodeURIComponent(location.hash.slice(6))));
      return true;
    } catch {
      return false; // somebody edited the address
    }
  }

  // --- the rows as a table for other programs

  // A cell that a spreadsheet would take for a formula gets an apostrophe in front.
  function cellText(text) {
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return `"${safe.replaceAll('"', '""')}"`;
  }

  function download() {
    const head = ["row", "origin", "text", "wanted", ...data.ways.map(([name]) => name), "note"];
    const lines = found.map((row) => [
      String(numbers[row]), data.origins[row], texts[row], strings[golds[row]],
      ...answers.map((column) => strings[cells[column[row]][0]]), notes.get(String(numbers[row])) || "",
    ]);
    const text = [head, ...lines].map((line) => line.map(cellText).join(",")).join("\r\n");
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([`\ufeff${text}\r\n`], { type: "text/csv" }));
    link.download = "rows.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  list.addEventListener("click", (event) => {
    const text = event.target.closest(".text");
    if (text && !String(getSelection())) text.classList.toggle("open");
  });
  let waiting = 0;
  form.addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, event.target.type === "search" && numbers.length > 5000 ? 200 : 0);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("[data-clear]").addEventListener("click", () => { query = {}; form.reset(); filter(); });
  form.querySelector("[data-download]").addEventListener("click", download);
  form.querySelector(".noted i").textContent = notes.size;
  form.hidden = false;
  document.documentElement.classList.add("scripted");
  addEventListener("hashchange", fromAddress);
  addEventListener("popstate", fromAddress);
  if (!fromAddress()) filter();
  document.documentElement.dataset.ready = "rows";
})();

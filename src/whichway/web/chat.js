// Two panes, one question. Answers come from the page's own server in OpenAI's protocol.
"use strict";
(() => {
  const panes = document.getElementById("panes");
  const form = document.getElementById("ask");
  if (!panes || !form) return;
  const place = panes.dataset.place;
  const all = [...panes.querySelectorAll(".pane")].map((node) => ({ node, turns: [] }));
  const make = (tag, text, kind = "") => {
    const node = document.createElement(tag);
    node.textContent = text;
    if (kind) node.className = kind;
    node.dir = "auto";
    return node;
  };
  const post = async (path, body) => {
    const answer = await fetch(`${place}/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const facts = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(facts.error?.message ?? `the page answered ${answer.status}`);
    return [facts, answer.headers.get("x-whichway-candidate")];
  };
  const prove = async ({ node }) => {
    if (node.dataset.bare) return;
    const proof = node.querySelector(".proof");
    const answer = await fetch(`${place}/proof?model=${encodeURIComponent(node.dataset.model)}`);
    const text = await answer.text();
    if (answer.ok) proof.innerHTML = text; // escaped by the server's templates
    else proof.textContent = new DOMParser().parseFromString(text, "text/html").querySelector(".problem")?.textContent ?? "It could not be proved.";
  };
  const row = (values, bare) => {
    const names = Object.keys(values);
    if (names.length === 1) return values[names[0]];
    return bare ? names.map((name) => `${name}: ${values[name]}`).join("\n") : JSON.stringify(values);
  };
  const scores = (scored) => {
    const best = Object.entries(scored ?? {}).sort((a, b) => b[1] - a[1]).slice(0, 3);
    return best.map(([label, number]) => `${label} ${(100 * Math.exp(number)).toFixed(1)} %`).join(", ");
  };
  const show = (pane, facts, candidate, seconds) => {
    const { node } = pane;
    const choice = facts.choices[0];
    const item = document.createElement("li");
    item.className = "answer";
    item.append(make("p", choice.message.content || "(an empty answer)", "answer-text"));
    const used = facts.usage;
    const notes = [`${seconds.toFixed(2)} s`, `${used.prompt_tokens} + ${used.completion_tokens} tokens`, `by ${candidate}`];
    if (facts.system_fingerprint) notes.push(facts.system_fingerprint);
    const likely = scores(choice.scores);
    if (likely) item.append(make("p", likely, "note"));
    item.append(make("p", notes.join(" · "), "note"));
    if (candidate !== node.dataset.candidate) {
      const problem = make("p", `This pane says ${node.dataset.candidate}, and ${candidate} answered.`, "problem");
      problem.setAttribute("role", "alert");
      item.append(problem);
    }
    const send = (body) => post("feedback", { completion_id: facts.id, ...body });
    item.append(window.whichwayFeedback(send, JSON.parse(node.dataset.labels)));
    node.querySelector(".dialogue").append(item);
    pane.turns.push({ role: "assistant", content: choice.message.content });
  };
  const ask = async (pane, values) => {
    const { node } = pane;
    const talks = Boolean(node.dataset.bare || node.dataset.conversation);
    const content = row(values, node.dataset.bare);
    const question = make("li", Object.values(values).join("\n"), "question");
    const waits = make("li", "…", "note");
    node.querySelector(".dialogue").append(question, waits);
    pane.turns.push({ role: "user", content });
    const began = performance.now();
    try {
      const messages = talks ? pane.turns : [{ role: "user", content }];
      const [facts, candidate] = await post("completions", { model: node.dataset.model, messages });
      show(pane, facts, candidate, (performance.now() - began) / 1000);
    } catch (error) {
      pane.turns.pop();
      const problem = make("li", error.message, "problem");
      problem.setAttribute("role", "alert");
      node.querySelector(".dialogue").append(problem);
    }
    waits.remove();
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    const button = form.querySelector("button");
    button.disabled = true;
    await Promise.all(all.map((pane) => ask(pane, values)));
    button.disabled = false;
    form.querySelector("textarea").select();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  document.getElementById("clear").addEventListener("click", () => {
    for (const pane of all) {
      pane.turns = [];
      pane.node.querySelector(".dialogue").replaceChildren();
    }
  });
  for (const pane of all) prove(pane);
})();

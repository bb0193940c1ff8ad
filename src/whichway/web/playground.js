// The playground: lints while one types, scores on demand, and shows what comes back. The server does the rest.
"use strict";
(() => {
  const opening = document.getElementById("opening");
  if (opening) {
    setInterval(async () => {
      if ((await (await fetch(opening.dataset.state)).json()).ready) location.reload();
    }, 700);
    return;
  }
  const form = document.getElementById("prompt");
  if (!form) return;
  const place = form.dataset.place;
  const [progress, bar, result, lint, tried] = ["progress", "bar", "result", "lint", "tried"].map((id) => document.getElementById(id));
  const OFTEN = 250; // ms between looks at a trial
  const PAUSE = 350; // ms without a key before lint is asked
  let timer = 0;
  let lints = 0;
  let latest = 0;

  const send = async (path) => {
    const answer = await fetch(`${place}/${path}`, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (!answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      throw new Error(page.querySelector(".problem")?.textContent ?? `the page answered ${answer.status}`);
    }
    return answer;
  };
  const complain = (error) => {
    bar.hidden = true;
    progress.textContent = error.message;
  };
  const check = async () => {
    const number = ++lints;
    try {
      const text = await (await send("lint")).text();
      if (number === lints) lint.innerHTML = text; // escaped by the server's templates
    } catch (error) {
      complain(error);
    }
  };
  const note = (trial) => {
    document.getElementById("tried-part").hidden = false;
    const link = document.createElement("a");
    link.href = `${place}?start=${trial.key}&reference=${form.elements.reference.value}`;
    link.textContent = `${trial.words.score} ${trial.words.interval}`;
    const item = document.createElement("li");
    item.append(link, trial.words.against ? ` (${trial.words.against})` : " (compared with itself)");
    tried.prepend(item);
  };
  const follow = async (number) => {
    const trial = await (await fetch(`${place}/trials/${number}`)).json();
    if (number !== latest) return;
    if (trial.html) {
      bar.hidden = true;
      progress.textContent = "";
      result.innerHTML = trial.html; // escaped by the server's templates
      if (trial.state === "done") note(trial);
      return;
    }
    bar.hidden = false;
    bar.max = trial.of || 1;
    bar.value = trial.done;
    progress.textContent = trial.done ? `${trial.done} of ${trial.of} dev rows` : "The model is asked";
    setTimeout(() => follow(number).catch(complain), OFTEN);
  };
  const score = async () => {
    try {
      latest = (await (await send("score")).json()).number;
      await follow(latest);
    } catch (error) {
      complain(error);
    }
  };

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(check, PAUSE);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    score();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  result.addEventListener("click", (event) => {
    const key = event.target.dataset?.keep;
    if (!key) return;
    form.elements.reference.value = key;
    event.target.disabled = true;
    event.target.textContent = "Others are compared with this one now";
  });
  score();
})();

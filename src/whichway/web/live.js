// Follows a run: standings as the server renders them, and the log. It shows; it decides nothing.
"use strict";
(() => {
  const standings = document.getElementById("standings");
  const log = document.getElementById("log");
  const actions = document.getElementById("actions");
  if (!standings || actions.dataset.state !== "running") return;
  const MOST = 400;
  const clock = (at) => new Date(at * 1000).toTimeString().slice(0, 8);
  const source = new EventSource(standings.dataset.events);
  const box = log.parentElement;
  const end = () => box.scrollHeight - box.scrollTop - box.clientHeight < 40;

  box.scrollTop = box.scrollHeight;
  source.addEventListener("log", (event) => {
    const follow = end();
    for (const line of JSON.parse(event.data)) {
      const item = document.createElement("li");
      if (line.at) {
        const time = document.createElement("time");
        time.textContent = clock(line.at);
        item.append(time, " ");
      }
      if (line.way) {
        const way = document.createElement("b");
        way.textContent = line.way;
        item.append(way, " ");
      }
      const text = document.createElement("span");
      text.dir = "auto";
      text.textContent = line.text;
      item.append(text);
      log.append(item);
    }
    while (log.children.length > MOST) log.firstElementChild.remove();
    if (follow) box.scrollTop = box.scrollHeight;
  });
  source.addEventListener("standings", (event) => {
    const open = standings.querySelector("details")?.open;
    standings.innerHTML = JSON.parse(event.data); // escaped by the server's templates
    const details = standings.querySelector("details");
    if (details) details.open = Boolean(open);
  });
  source.addEventListener("end", () => {
    source.close();
    location.reload(); // other buttons now
  });
})();

// Thumbs and corrections below the answers to a run's rows.
"use strict";
(() => {
  const rows = document.getElementById("rows");
  if (!rows) return;
  const labels = JSON.parse(rows.dataset.labels);
  for (const place of rows.querySelectorAll(".about")) {
    const send = async (body) => {
      const answer = await fetch(rows.dataset.place, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ completion_id: place.dataset.answer, ...body }),
      });
      const facts = await answer.json().catch(() => ({}));
      if (!answer.ok) throw new Error(facts.error?.message ?? `the page answered ${answer.status}`);
    };
    place.append(window.whichwayFeedback(send, labels));
  }
})();

// Thumbs and a corrected answer below an answer, on every page that shows one.
"use strict";
window.whichwayFeedback = (send, labels) => {
  const make = (tag, text, kind = "") => {
    const node = document.createElement(tag);
    node.textContent = text;
    if (kind) node.className = kind;
    return node;
  };
  const form = make("form", "", "feedback");
  const [up, down] = ["Right", "Wrong"].map((text) => make("button", text, "quiet small"));
  const status = make("span", "", "note");
  status.setAttribute("role", "status");
  up.type = down.type = "button";
  const correction = make("label", "Right answer ", "correction");
  const field = document.createElement(labels.length ? "select" : "input");
  for (const label of labels.length ? ["", ...labels] : []) field.append(make("option", label));
  field.dir = "auto";
  const save = make("button", "Save it", "quiet small");
  correction.append(field);
  correction.hidden = save.hidden = true; // until it is wrong
  form.append(up, down, correction, save, status);
  const give = async (body, said) => {
    try {
      await send(body);
      status.textContent = said;
      form.dataset.given = body.answer === undefined ? body.thumbs : "corrected";
    } catch (error) {
      status.textContent = error.message;
    }
  };
  up.addEventListener("click", () => give({ thumbs: "up" }, "Noted: right."));
  down.addEventListener("click", () => {
    correction.hidden = save.hidden = false;
    give({ thumbs: "down" }, "Noted: wrong. The right answer helps most.");
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.value.trim()) give({ thumbs: "down", answer: field.value }, "Noted, with the right answer.");
  });
  return form;
};

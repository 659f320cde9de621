// "Add a row": copies the blank row of a formset and counts it in; without script the page offers one blank row a save.
for (const rows of document.querySelectorAll("[data-rows]")) {
  const total = document.querySelector(`[name=${rows.dataset.rows}-TOTAL_FORMS]`);
  const most = Number(document.querySelector(`[name=${rows.dataset.rows}-MAX_NUM_FORMS]`).value);
  const blank = rows.querySelector("template");
  const button = rows.querySelector("[data-add-row]");
  const settle = () => { button.hidden = Number(total.value) >= most; };

  button.addEventListener("click", () => {
    const row = document.createElement("template");
    row.innerHTML = blank.innerHTML.replaceAll("__prefix__", total.value);
    const added = row.content.firstElementChild;
    blank.before(added);
    total.value = Number(total.value) + 1;
    settle();
    added.querySelector("input, select, textarea").focus();
  });
  settle();
}

// Copies a link instead of following it; without a clipboard the link stays a link.
document.querySelectorAll("[data-copy]").forEach((link) => {
  link.addEventListener("click", (event) => {
    if (!navigator.clipboard) return;
    event.preventDefault();
    navigator.clipboard.writeText(link.href).then(() => {
      link.lastChild.textContent = "Copied";
    });
  });
});

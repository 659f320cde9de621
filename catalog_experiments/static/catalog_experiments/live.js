// Refreshes the control center's numbers every 30 s while the tab is visible; the page works the same without it.
(() => {
  "use strict";
  const PERIOD = 30000;
  const isBusy = () => document.activeElement && document.activeElement.closest("[data-live] form, [data-live] summary");
  const refresh = async () => {
    if (document.hidden || isBusy()) return;
    try {
      const answer = await fetch(window.location.href, { headers: { "X-Requested-With": "fetch" } });
      if (!answer.ok || answer.redirected) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
      if (fresh && !isBusy()) document.querySelector("[data-live]").replaceWith(fresh);
    } catch {
      document.querySelector("[data-live-note]").textContent = "The last refresh failed; the numbers shown may be old.";
    }
  };
  window.setInterval(refresh, PERIOD);
})();

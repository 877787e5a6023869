// A film follows its chapters, its transcript and the page's address (film_4.html#t=192), and the transcript the film.
document.addEventListener("DOMContentLoaded", () => {
  const film = document.querySelector(".film > video");
  const parts = [...document.querySelectorAll(".transcript [data-t]")];
  const named = () => location.hash.match(/^#t=(\d+)$/)?.[1];
  const follow = () => {
    if (named()) film.currentTime = Number(named());
  };

  follow();
  addEventListener("hashchange", follow);
  document.querySelector("article").addEventListener("click", (event) => {
    const part = event.target.closest("[data-t], a[href^='#t=']");
    if (!part || !getSelection().isCollapsed) return; // whoever marks a sentence wants to copy it
    film.currentTime = Number(part.dataset.t ?? part.hash.slice(3));
    film.play();
  });
  film.addEventListener("timeupdate", () => {
    const now = parts.findLast((part) => Number(part.dataset.t) <= film.currentTime + 0.1);
    for (const part of parts) part.classList.toggle("now", part === now && film.currentTime > 0);
  });
});

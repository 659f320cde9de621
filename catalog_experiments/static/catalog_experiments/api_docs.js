// The API's page follows the system's light or dark; Swagger UI has dark colors of its own, asked for by a class.
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", prefersDark.matches);
document.documentElement.lang = "en";
prefersDark.addEventListener("change", follow);
follow();

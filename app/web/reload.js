// Loads the page again when a file was saved or the server was started anew.
let boot;
const events = new EventSource("EVENTS");
events.addEventListener("saved", () => location.reload());
events.addEventListener("boot", (event) => {
  if (boot && boot !== event.data) location.reload();
  boot = event.data;
});

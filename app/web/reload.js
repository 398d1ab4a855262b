// Loads the page again when there is another version of it than this one: a file
// was saved, or the server was started anew.
const version = new URL(import.meta.url).search;
const events = new EventSource("EVENTS" + version);
events.addEventListener("saved", () => location.reload());

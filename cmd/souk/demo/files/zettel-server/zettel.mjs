// Finds notes in a folder of Markdown files, and what links to each.
import { readFileSync, readdirSync, existsSync } from "node:fs";
import { join, basename } from "node:path";

const [folder = ".", ...words] = process.argv.slice(2);
const hidden = existsSync(join(folder, ".private")) ? readFileSync(join(folder, ".private"), "utf8").split("\n").filter(Boolean) : [];

const notes = readdirSync(folder, { recursive: true })
  .filter((name) => name.endsWith(".md") && !name.startsWith(".") && !hidden.some((h) => name.startsWith(h)))
  .map((name) => ({ name, title: basename(name, ".md"), text: readFileSync(join(folder, name), "utf8") }));

const links = (note) => [...note.text.matchAll(/\[\[([^\]|#]+)/g)].map((m) => m[1].trim());

for (const note of notes) {
  const all = (note.title + "\n" + note.text).toLowerCase();
  if (!words.every((w) => all.includes(w.toLowerCase()))) continue;
  const line = note.text.split("\n").findIndex((l) => words.some((w) => l.toLowerCase().includes(w.toLowerCase()))) + 1;
  const back = notes.filter((n) => links(n).includes(note.title)).map((n) => n.title);
  console.log(`${note.name}:${line}`, back.length ? `(linked from ${back.join(", ")})` : "");
}

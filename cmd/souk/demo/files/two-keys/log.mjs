// Appends to a log in which every line holds the hash of the line before, and checks it.
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";

const hash = (text) => createHash("sha256").update(text).digest("hex");
const lines = (file) => (existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : []);

export function append(file, entry) {
  const last = lines(file).at(-1) ?? "";
  appendFileSync(file, JSON.stringify({ before: hash(last), at: new Date().toISOString(), ...entry }) + "\n");
}

export function check(file) {
  let last = "";
  for (const [n, line] of lines(file).entries()) {
    if (JSON.parse(line).before !== hash(last)) return `line ${n + 1} doesn't follow the line before`;
    last = line;
  }
  return "";
}

const [, , what, file, ...text] = process.argv;
if (what === "ask") append(file, { question: text.join(" "), answer: null });
else if (what === "answer") append(file, { answer: text.join(" ") });
else if (what === "check") console.log(check(file) || "The log is whole.");
else console.log("usage: node log.mjs ask|answer|check FILE [TEXT]");

// What SRT and WebVTT have in common: blocks between blank lines, a line with two times, lines of text.

const TIMES = /^\s*(\d+:)?(\d{1,2}):(\d{2})[.,](\d{1,3})\s*-->\s*(\d+:)?(\d{1,2}):(\d{2})[.,](\d{1,3})/;
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&nbsp;": " ", "&lrm;": "", "&rlm;": "" };

/** The cues of a file: `{start, end, text}`, times in milliseconds. Whatever has no times is a note, a style or a name. */
export function cues(text) {
  const found = [];
  let cue;
  for (const line of text.split(/\r\n|\r|\n/)) {
    const times = TIMES.exec(line);
    if (times) {
      cue = { start: milliseconds(times.slice(1, 5)), end: milliseconds(times.slice(5, 9)), text: "" };
      found.push(cue);
    } else if (line.trim() === "") {
      cue = undefined;
    } else if (cue) {
      cue.text = `${cue.text} ${plain(line)}`.trim();
    }
  }
  return found.filter((cue) => cue.text !== "");
}

function milliseconds([hours = "0:", minutes, seconds, fraction]) {
  const whole = (parseInt(hours, 10) * 60 + Number(minutes)) * 60 + Number(seconds);
  return whole * 1000 + Number(fraction.padEnd(3, "0"));
}

/** Without tags; `<v Name>` says who speaks. */
function plain(line) {
  return line
    .replace(/<v(?:\.\S+)?\s+([^>]+)>/g, "$1: ")
    .replace(/<[^<>]*>|\{\\[^{}]*\}/g, "")
    .replace(/&\w+;/g, (entity) => ENTITIES[entity] ?? entity)
    .trim();
}

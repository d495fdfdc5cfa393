// Elements and figures. Words of others are text, never markup.

export const $ = (id) => document.getElementById(id);

export const make = (tag, facts = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
};

export const setText = (element, words) => { if (element.textContent !== words) element.textContent = words; };
export const setClass = (element, name, on) => { if (element.classList.contains(name) !== on) element.classList.toggle(name, on); };
export const setFlag = (element, name, value) => { const told = String(value); if (element.getAttribute(name) !== told) element.setAttribute(name, told); };
export const setHidden = (element, hidden) => { if (element.hidden !== hidden) element.hidden = hidden; };

const two = (n) => String(n).padStart(2, "0");

export const clock = (seconds) => {
  const tenths = Math.max(0, Math.round(10 * seconds)), minutes = Math.floor(tenths / 600), hours = Math.floor(minutes / 60);
  return `${hours ? `${hours}:${two(minutes % 60)}` : minutes}:${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
};

export const span = (seconds) => {
  if (seconds === null || seconds === undefined) return "–";
  const size = Math.abs(seconds);
  return size < 1 ? `${Math.round(1000 * seconds)} ms` : size < 60 ? `${seconds.toFixed(2)} s` : clock(seconds);
};

export const dollars = (amount) => {
  if (amount === null || amount === undefined) return "–";
  if (amount === 0) return "$0";
  return amount < 0.01 ? `$${amount.toPrecision(2)}` : amount < 1 ? `$${amount.toFixed(4)}` : `$${amount.toFixed(2)}`;
};

export const amount = (n) => n.toLocaleString("en");

export const timeOfDay = (pageSeconds) => {
  const date = new Date(performance.timeOrigin + 1000 * pageSeconds);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
};

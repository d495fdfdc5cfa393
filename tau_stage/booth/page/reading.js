// Read what came from elsewhere: whatever is of another kind than expected becomes empty.

export const text = (thing) => (typeof thing === "string" ? thing : "");
export const number = (thing) => (typeof thing === "number" && Number.isFinite(thing) ? thing : 0);
export const maybe = (thing) => (typeof thing === "number" && Number.isFinite(thing) ? thing : null);
export const list = (thing) => (Array.isArray(thing) ? thing : []);
export const object = (thing) => (thing && typeof thing === "object" && !Array.isArray(thing) ? thing : {});
export const dollarsOf = (thing) => {
  const read = typeof thing === "string" && thing ? Number(thing) : thing;
  return maybe(read);
};

// The usage of records, as it is shown.
export const tokensOf = (usage) => {
  const told = object(usage), sum = (...kinds) => kinds.reduce((total, kind) => total + number(told[kind]), 0);
  return {
    spoken: sum("audio_out"), text: sum("text_out"), listened: sum("audio_in", "text_in", "image_in"),
    cached: sum("cached_audio_in", "cached_text_in", "cached_image_in"),
  };
};

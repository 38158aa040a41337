// Any event data as JSON. What JSON does not know is written so that nothing is lost in silence.

/** Dates become ISO 8601 texts, bigints texts, bytes base64, Sets lists, Maps lists of pairs, `undefined` null. */
export function jsonText(data: unknown): string {
  return (isPlain(data) ? JSON.stringify(data) : JSON.stringify(data, replace)) ?? "null";
}

/** Whether JSON.stringify writes all of it by itself: it is several times faster without a replacer. */
function isPlain(value: unknown): boolean {
  if (typeof value !== "object") return typeof value !== "bigint";
  if (value === null) return true;
  if (Array.isArray(value)) return value.every(isPlain);
  if (value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)) return false;
  for (const key in value) if (!isPlain((value as Record<string, unknown>)[key])) return false;
  return true;
}

function replace(this: Record<string, unknown>, key: string, said: unknown): unknown {
  const value = this[key];                              // before its own toJSON: a Buffer has one
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Map || value instanceof Set) return [...value];
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  return said;
}

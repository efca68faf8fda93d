/**
 * What log options take from a container, as it stands before its lines. Pure.
 * Source: Docker Engine API, logs with `details`.
 */

/** `key=value` by commas, sorted; keys and values as in a query. */
export function logDetailsText(attributes: Readonly<Record<string, string>>): string {
  return Object.entries(attributes)
    .map(([key, value]) => `${queryEscape(key)}=${queryEscape(value)}`)
    .sort()
    .join(",");
}

/** As Go does it: a space is a plus, and only letters, digits, and -_.~ stand as they are. */
function queryEscape(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
}

/**
 * The header in which a stream of events says where it begins: the number before its first event. Pure.
 */
export const EVENTS_AT_KEY = "skein-events-at";

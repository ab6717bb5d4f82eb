// SPDX-License-Identifier: MPL-2.0

/** Times and numbers as a person reads them. */

const two = (number) => String(number).padStart(2, "0");

/** Returns a length of time as `m:ss` or `h:mm:ss`. */
export function clock(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(seconds % 60)}`
    : `${minutes}:${two(seconds % 60)}`;
}

/** Returns a length of time in words. */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${two(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/** Returns the day and time of an instant, in the reader's own form and zone. */
export function dayAndTime(time, locale) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  return date.toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
}

/** Returns the time of the day of an instant. */
export function timeOfDay(time, locale) {
  return new Date(time).toLocaleTimeString(locale, { timeStyle: "medium" });
}

/** Returns a share of one as a percentage. */
export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

/** Returns a count with its noun. */
export function count(number, one, many) {
  return `${number} ${number === 1 ? one : many}`;
}

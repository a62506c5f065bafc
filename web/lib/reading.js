/**
 * Reading JSON from an untrusted source: bounded, finite, every field checked, one sentence on failure; the rules of
 * drag_core/motion/untrusted.py. `where` names the field in the sentence, as "regions[3].target".
 * @typedef {[number, number]} Point
 */

export const MAX_BYTES = 10_000_000
const MAX_DEPTH = 64

/** Bad input, said in one sentence for the user. */
export class Refused extends Error {}

/** @param {string} sentence @returns {never} */
export function say(sentence) {
  throw new Refused(sentence)
}

/** @param {string} where @param {string} key @param {number} i */
export const at = (where, key, i) => `${where}.${key}[${i}]`

/** A value as a sentence names it. @param {unknown} value */
export function short(value) {
  if (value === undefined) return 'missing'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (value && typeof value === 'object') return `an object of ${Object.keys(value).length}`
  return (typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : String(value)).slice(0, 60)
}

/** JSON: at most 10 MB and 64 levels, finite numbers only. @param {string} source @returns {unknown} */
export function loadJson(source) {
  if (source.length > MAX_BYTES) {
    say(`the drag instruction is ${source.length} characters long; at most ${MAX_BYTES} are read`)
  }
  if (deeper(source, MAX_DEPTH)) {
    say(`the drag instruction is nested more than ${MAX_DEPTH} levels deep; make it flatter`)
  }
  let data
  try {
    data = JSON.parse(source)
  } catch (e) {
    say(`the drag instruction is not JSON: ${String(/** @type {Error} */ (e).message).slice(0, 160)}`)
  }
  if (!finite(data)) say('the drag instruction holds a number too large to be one; every number must be finite')
  return data
}

/** Counted in the text, so that no parser's own recursion meets it. @param {string} source @param {number} most */
function deeper(source, most) {
  let depth = 0, inText = false
  for (let i = 0; i < source.length; i++) {
    const c = source.charCodeAt(i)
    if (inText) {
      if (c === 92) i++ // backslash: the next character stands for itself
      else if (c === 34) inText = false
    } else if (c === 34) inText = true
    else if (c === 91 || c === 123) {
      if (++depth > most) return true
    } else if (c === 93 || c === 125) depth--
  }
  return false
}

/** @param {unknown} data at most MAX_DEPTH deep @returns {boolean} */
function finite(data) {
  if (typeof data === 'number') return Number.isFinite(data)
  if (data === null || typeof data !== 'object') return true
  if (Array.isArray(data)) {
    for (let i = 0; i < data.length; i++) if (!finite(data[i])) return false
    return true
  }
  return Object.values(data).every(finite)
}

/** @param {unknown} data @param {string} where @returns {Record<string, unknown>} */
export function object(data, where) {
  if (data === null || typeof data !== 'object' || Array.isArray(data)) {
    say(`${where} is ${short(data)}; it must be an object`)
  }
  return /** @type {Record<string, unknown>} */ (data)
}

/** @param {unknown} data @param {string} where @param {number} most @returns {unknown[]} */
export function list(data, where, most) {
  if (!Array.isArray(data)) say(`${where} is ${short(data)}; it must be a list`)
  if (data.length > most) say(`${where} has ${data.length} entries; at most ${most} are read`)
  return data
}

/** @param {unknown} data @param {string} where @returns {number} */
export function number(data, where) {
  if (typeof data !== 'number' || !(data >= -1e9 && data <= 1e9)) {
    say(`${where} is ${short(data)}; it must be a finite number between -1e9 and 1e9`)
  }
  return data
}

/** @param {unknown} data @param {string} where @returns {Point} */
export function point(data, where) {
  if (!Array.isArray(data) || data.length !== 2) say(`${where} is ${short(data)}; it must be [x, y]`)
  return [number(data[0], where), number(data[1], where)]
}

/** @param {unknown} data @param {string} where @param {number} most @returns {Point[]} */
export const pointList = (data, where, most) => list(data, where, most).map((p) => point(p, where))

/** @param {unknown} data @param {string} where @param {number} most @returns {Point[]} */
export function outline(data, where, most) {
  const corners = pointList(data, where, most)
  if (corners.length < 3) say(`${where} has ${corners.length} corners; a polygon needs at least 3`)
  return corners
}

/** @param {unknown} data @param {string} where @returns {number} */
export function side(data, where) {
  const n = number(data, where)
  if (!Number.isInteger(n) || n < 1 || n > 65536) say(`${where} is ${short(data)}; it must be a whole number of pixels`)
  return n
}

/** @param {unknown} data @param {string} where @returns {string} */
export function text(data, where) {
  if (typeof data !== 'string') say(`${where} is ${short(data)}; it must be text`)
  return data
}

/**
 * Those fields that are there, read.
 * @template {string} K @template T
 * @param {Record<K, unknown>} fields @param {string} where @param {(data: unknown, where: string) => T} read
 * @returns {{[key in K]?: T}}
 */
export function optional(fields, where, read) {
  const there = Object.entries(fields).filter(([, value]) => value != null)
  const out = Object.fromEntries(there.map(([key, value]) => [key, read(value, `${where}.${key}`)]))
  return /** @type {{[key in K]?: T}} */ (out)
}

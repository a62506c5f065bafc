/**
 * Region pictures to parts and back, as drag_core/bench/outlines.py takes them.
 *
 * @typedef {import('../fill.js').Mask} Mask
 * @typedef {[number, number]} Point
 * @typedef {{width: number, height: number, data: ArrayLike<number>}} Picture rows of bytes; 1 (grey), 3 (RGB) or 4
 *   (RGBA) for each pixel: an ImageData is one
 */
import { components, contours } from '../contours.js'
import { roundEven } from '../fill.js'
import { middleOf } from '../raster.js'
import { say } from '../reading.js'

const SPECK = 5 // px: smaller parts count only if a point lies on them (DragFlow's code drops them)

/**
 * Set where brighter than 1 of 255, as in DragFlow's code, or above 0 in a picture of zeros and ones; clear is unset.
 * @param {Picture} picture @returns {Mask} of the whole picture
 */
export function maskOf({ width, height, data }) {
  const n = width * height, channels = n ? data.length / n : 1
  const level = new Uint8Array(n)
  let most = 0
  for (let i = 0; i < n; i++) {
    let v = data[channels * i]
    if (channels > 2) v = Math.max(v, data[channels * i + 1], data[channels * i + 2])
    if (channels === 4) v = Math.min(v, data[channels * i + 3])
    level[i] = v
    most = Math.max(most, v)
  }
  const limit = Math.min(1, most >> 1)
  return { x: 0, y: 0, w: width, h: height, data: level.map((v) => (v > limit ? 1 : 0)) }
}

/**
 * A grey picture of a mask, 0 and 255.
 * @param {Mask} mask @param {number} width @param {number} height @returns {Picture}
 */
export function pictureOf(mask, width, height) {
  const data = new Uint8Array(width * height)
  for (let y = 0; y < mask.h; y++) {
    for (let x = 0; x < mask.w; x++) {
      if (mask.data[y * mask.w + x]) data[(y + mask.y) * width + x + mask.x] = 255
    }
  }
  return { width, height, data }
}

/** The connected parts (of eight neighbours) of a mask. @param {Mask} mask */
export class Parts {
  /** @param {Mask} mask */
  constructor(mask) {
    this.mask = mask
    const { labels, parts } = components(mask.data, mask.w, mask.h, 8)
    this.labels = labels
    this.sizes = parts.map((p) => p.size)
    this.largest = Math.max(0, ...this.sizes)
  }

  /** Whether part i (from 0) is more than a speck, or all are specks. @param {number} i */
  counts(i) {
    return this.sizes[i] >= SPECK || this.largest < SPECK
  }

  /** Part i (from 0) as a mask of its own. @param {number} i @returns {Mask} */
  part(i) {
    return { ...this.mask, data: Uint8Array.from(this.labels, (v) => (v === i + 1 ? 1 : 0)) }
  }

  /** All parts that count. @returns {Mask[]} */
  all() {
    return this.sizes.flatMap((_, i) => (this.counts(i) ? [this.part(i)] : []))
  }

  /** The part that contains p, or else the nearest one. @param {Point} p @returns {Mask} */
  at(p) {
    const { x, y, w, h } = this.mask, column = roundEven(p[0]) - x, row = roundEven(p[1]) - y
    if (column >= 0 && row >= 0 && column < w && row < h && this.labels[row * w + column]) {
      return this.part(this.labels[row * w + column] - 1)
    }
    if (!this.sizes.length) say('the region picture is empty: paint the region that shall move')
    let best = Infinity, found = 0
    for (let i = 0; i < this.labels.length; i++) {
      if (!this.labels[i] || !this.counts(this.labels[i] - 1)) continue
      const d = (x + i % w - p[0]) ** 2 + (y + Math.floor(i / w) - p[1]) ** 2
      if (d < best) [best, found] = [d, this.labels[i] - 1]
    }
    return this.part(found)
  }
}

/** The pixel at a part's middle if it belongs to it, else its deepest. @param {Mask} part @returns {Point} */
export function innerPixel(part) {
  const { data, x, y, w, h } = part, middle = /** @type {Point} */ (middleOf(part))
  const [cx, cy] = middle.map(roundEven)
  if (data[(cy - y) * w + cx - x]) return [cx, cy]
  const depth = depths(data, w, h), at = depth.indexOf(depth.reduce((a, b) => Math.max(a, b), 0))
  return [x + at % w, y + Math.floor(at / w)]
}

/**
 * Distance of every set pixel to the nearest unset one or the border, 3 a side and 4 a corner (Borgefors 1986).
 * @param {Uint8Array} data @param {number} w @param {number} h
 */
function depths(data, w, h) {
  const out = new Int32Array(w * h)
  /** @param {number} u @param {number} v */
  const get = (u, v) => (u < 0 || v < 0 || u >= w || v >= h ? 0 : out[v * w + u])
  for (const way of [1, -1]) {
    for (let k = 0; k < w * h; k++) {
      const i = way > 0 ? k : w * h - 1 - k, u = i % w, v = (i - u) / w
      if (!data[i]) continue
      const found = Math.min(
        get(u - way, v) + 3, get(u, v - way) + 3, get(u - way, v - way) + 4, get(u + way, v - way) + 4)
      out[i] = way > 0 ? found : Math.min(out[i], found)
    }
  }
  return out
}

/** A mask as the shape of a document's region. @param {Mask} mask */
export const shapeOf = (mask) => contours(mask)

/** @param {unknown} data @param {string} at @returns {Point} */
export function readPoint(data, at) {
  if (!Array.isArray(data) || data.length !== 2 || !data.every((v) => typeof v === 'number' && Math.abs(v) <= 1e9)) {
    say(`${at} is ${JSON.stringify(data)?.slice(0, 60) ?? 'missing'}; it must be [x, y]`)
  }
  return [data[0], data[1]]
}

/** Nothing, where field() shall find a list. */
export const NO_LIST = /** @type {unknown[]} */ ([])

/** Nothing, where field() shall find an object. */
export const NO_FIELDS = /** @type {Record<string, unknown>} */ ({})

/**
 * data[key], `empty` if missing or null.
 * @template {unknown[] | Record<string, unknown> | string} T
 * @param {Record<string, unknown>} data @param {string} key @param {T} empty @returns {T}
 */
export function field(data, key, empty) {
  const value = data[key] ?? empty
  const kind = (/** @type {unknown} */ v) => (Array.isArray(v) ? 'list' : v === null ? 'null' : typeof v)
  if (kind(value) !== kind(empty)) {
    say(`${key} is ${JSON.stringify(value).slice(0, 60)}; it must be a JSON ${kind(empty)}`)
  }
  return /** @type {T} */ (value)
}

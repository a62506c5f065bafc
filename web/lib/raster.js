/**
 * Shapes of the document as pixels: masks, their middle, their outlines, unions and cuts, and where the picture may
 * change. A mask is the smallest rectangle around what is set, in the picture's pixels. A shape's mask picture
 * (`mask`) lies beside the document, where no editor can read it: it is left out.
 *
 * @typedef {import('./fill.js').Mask} Mask
 * @typedef {import('./geometry.js').Motion} Motion
 * @typedef {[number, number]} Point
 * @typedef {{polygons?: Point[][], holes?: Point[][], strokes?: {points: Point[], radius: number}[]}} Shape
 */
import { brush, fillOutline, fillStroke, pixelOf, roundEven } from './fill.js'
import { contours } from './contours.js'
import { applyTo, hull, matrixOf, minAreaRect, stops } from './geometry.js'

export { contours }
export { simplify, simplifyTo } from './simplify.js'

const MARGIN = 0.045 // of the mean side, by which the adaptive mask grows, as in drag_core/motion/task.py

/**
 * The rectangle around a shape, cut to the picture.
 * @param {Shape} shape @param {number} width @param {number} height
 */
function boxOf({ polygons = [], strokes = [] }, width, height) {
  let left = Infinity, top = Infinity, right = -Infinity, bottom = -Infinity
  const take = (/** @type {Point} */ point, /** @type {number} */ by) => {
    const [x, y] = pixelOf(point)
    left = Math.min(left, x - by)
    top = Math.min(top, y - by)
    right = Math.max(right, x + by)
    bottom = Math.max(bottom, y + by)
  }
  for (const polygon of polygons) for (const p of polygon) take(p, 0)
  for (const s of strokes) for (const p of s.points) take(p, brush(s.radius) + 1)
  const x = Math.max(0, left), y = Math.max(0, top)
  const w = Math.min(width - 1, right) - x + 1, h = Math.min(height - 1, bottom) - y + 1
  return w > 0 && h > 0 ? { x, y, w, h } : { x: 0, y: 0, w: 0, h: 0 }
}

/**
 * The pixels of a shape, as drag_core.motion.task.draw sets them.
 * @param {Shape} shape @param {number} width of the picture @param {number} height @returns {Mask}
 */
export function rasterize(shape, width, height) {
  const box = boxOf(shape, width, height), size = { width, height }
  const mask = { ...box, data: new Uint8Array(box.w * box.h) }
  if (!mask.data.length) return mask
  for (const polygon of shape.polygons ?? []) fillOutline(mask, polygon, size, 1)
  for (const stroke of shape.strokes ?? []) fillStroke(mask, stroke, 1)
  for (const hole of shape.holes ?? []) fillOutline(mask, hole, size, 0)
  return mask
}

/** Number of set pixels. @param {Mask} mask */
export const countOf = ({ data }) => {
  let n = 0
  for (let i = 0; i < data.length; i++) n += data[i]
  return n
}

/** Mean place of the set pixels; null if there are none. @param {Mask} mask @returns {Point | null} */
export function middleOf({ data, x, y, w, h }) {
  let n = 0, sx = 0, sy = 0
  for (let row = 0, i = 0; row < h; row++) {
    let count = 0
    for (let column = 0; column < w; column++, i++) {
      if (data[i]) {
        count++
        sx += column
      }
    }
    n += count
    sy += count * row
  }
  return n ? [x + sx / n, y + sy / n] : null
}

/**
 * The centroid of a shape, as in drag_core.motion.masks; null if nothing of it lies in the picture.
 * @param {Shape} shape @param {number} width @param {number} height
 */
export const centroidOf = (shape, width, height) => middleOf(rasterize(shape, width, height))

/** Pixels that a shape sets in a picture. @param {Shape} shape @param {number} width @param {number} height */
export const areaOf = (shape, width, height) => countOf(rasterize(shape, width, height))

/**
 * The convex hull of a shape's set pixels.
 * @param {Shape} shape @param {number} width @param {number} height @returns {Point[]}
 */
export const hullOf = (shape, width, height) => hullOfMask(rasterize(shape, width, height))

/** The convex hull of a mask's set pixels. @param {Mask} mask @returns {Point[]} */
export function hullOfMask({ data, x, y, w, h }) {
  const ends = /** @type {Point[]} */ ([])
  for (let row = 0; row < h; row++) {
    const line = data.subarray(row * w, row * w + w), first = line.indexOf(1)
    if (first >= 0) ends.push([x + first, y + row], [x + line.lastIndexOf(1), y + row])
  }
  return hull(ends)
}

/**
 * One shape with another added or taken away, exact to the pixel.
 * @param {Shape} a @param {Shape} b @param {'add' | 'subtract'} how @param {number} width @param {number} height
 * @returns {{polygons: Point[][], holes: Point[][]}}
 */
export function combine(a, b, how, width, height) {
  const one = rasterize(a, width, height), two = rasterize(b, width, height)
  if (how === 'add') return contours(together([one, two]))
  eachPixel(two, one, (i) => { one.data[i] = 0 })
  return contours(one)
}

/**
 * Calls with the place in `into` of every pixel that is set in `of` and lies in both.
 * @param {Mask} of @param {Mask} into @param {(i: number) => void} then
 */
function eachPixel(of, into, then) {
  const x0 = Math.max(of.x, into.x), x1 = Math.min(of.x + of.w, into.x + into.w)
  const y0 = Math.max(of.y, into.y), y1 = Math.min(of.y + of.h, into.y + into.h)
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      if (of.data[(y - of.y) * of.w + x - of.x]) then((y - into.y) * into.w + x - into.x)
    }
  }
}

/** The union of masks. @param {Mask[]} masks @returns {Mask} */
export function together(masks) {
  const full = masks.filter((m) => m.data.length)
  if (!full.length) return { data: new Uint8Array(0), x: 0, y: 0, w: 0, h: 0 }
  const x = Math.min(...full.map((m) => m.x)), y = Math.min(...full.map((m) => m.y))
  const w = Math.max(...full.map((m) => m.x + m.w)) - x, h = Math.max(...full.map((m) => m.y + m.h)) - y
  const out = { data: new Uint8Array(w * h), x, y, w, h }
  for (const m of full) eachPixel(m, out, (i) => { out.data[i] = 1 })
  return out
}

/**
 * Whether a pixel of one mask is, or is a neighbour (of eight) of, a pixel of the other.
 * @param {Mask} a @param {Mask} b
 */
export function touch(a, b) {
  if (a.x > b.x + b.w || b.x > a.x + a.w || a.y > b.y + b.h || b.y > a.y + a.h) return false
  const grown = { x: a.x - 1, y: a.y - 1, w: a.w + 2, h: a.h + 2, data: new Uint8Array((a.w + 2) * (a.h + 2)) }
  eachPixel(a, grown, (i) => {
    for (const row of [i - grown.w, i, i + grown.w]) grown.data.fill(1, row - 1, row + 2)
  })
  let met = false
  eachPixel(grown, b, (i) => { met ||= b.data[i] === 1 })
  return met
}

/**
 * A convex outline cut to the rectangle 0..width-1, 0..height-1 (Sutherland and Hodgman 1974).
 * @param {Point[]} points @param {number} width @param {number} height
 */
function inPicture(points, width, height) {
  let out = points
  for (const [axis, limit, sign] of [[0, 0, 1], [0, width - 1, -1], [1, 0, 1], [1, height - 1, -1]]) {
    if (out.every((p) => sign * (p[axis] - limit) >= 0)) continue
    const cut = /** @type {Point[]} */ ([])
    out.forEach((q, i) => {
      const p = out[(i + out.length - 1) % out.length]
      const a = sign * (p[axis] - limit), b = sign * (q[axis] - limit), part = a / (a - b)
      if (a >= 0 !== b >= 0) cut.push([p[0] + part * (q[0] - p[0]), p[1] + part * (q[1] - p[1])])
      if (b >= 0) cut.push(q)
    })
    out = cut
  }
  return out
}

/**
 * Where the picture may change: for every region the box around its place before, on its path and after, grown by 4.5
 * % of the mean side (drag_core.motion.masks.adaptive_mask and drag_core.motion.task). Their union is meant; they may overlap.
 * @param {{shape?: Shape, hull?: Point[], motion: Motion}[]} regions `hull` of the set pixels, if it is at hand: it
 *   saves the drawing of the shape, which makes this cheap enough for every frame
 * @param {number} width @param {number} height @returns {Point[][]} convex, within 2 px of Python's mask; somewhat
 *   larger where a hollow region leaves the picture
 */
export function adaptiveMask(regions, width, height) {
  const radius = roundEven(MARGIN * (width + height) / 2)
  return regions.flatMap(({ shape = {}, hull: known, motion }) => {
    const before = known ?? hullOf(shape, width, height)
    if (!before.length) return []
    const places = stops(motion).map((s) => {
      const m = matrixOf(motion, s)
      return inPicture(before.map((p) => applyTo(m, p)), width, height)
    })
    return [inPicture(grown(minAreaRect([before, ...places].flat()), radius), width, height)]
  })
}

const ARC = Array.from({ length: 32 }, (_, i) => [Math.cos(i * Math.PI / 16), Math.sin(i * Math.PI / 16)])

/** A rectangle with a rim of `radius`, round at the corners. @param {Point[]} rect @param {number} radius */
function grown(rect, radius) {
  return hull(rect.flatMap(([x, y]) => ARC.map(([u, v]) => /** @type {Point} */ ([x + radius * u, y + radius * v]))))
}

/**
 * Drag100 (points.json, mask.png) and DragNeXt (points.json, handle_region_mask.png, editable_region_mask.png)
 * folders; the rules of drag_core/bench/formats.py.
 *
 * @typedef {import('../document.js').Doc} Doc
 * @typedef {import('../geometry.js').Motion} Motion
 * @typedef {import('../fill.js').Mask} Mask
 * @typedef {import('./parts.js').Picture} Picture
 * @typedef {[number, number]} Point
 */
import { MAX_POINTS } from '../document.js'
import { roundEven } from '../fill.js'
import { applyTo, matrixOf, motionOf, turnAngle } from '../geometry.js'
import { nameOf } from '../problems.js'
import { adaptiveMask, middleOf, rasterize, together, touch } from '../raster.js'
import { say } from '../reading.js'
import { NO_LIST, Parts, field, maskOf, pictureOf, readPoint, shapeOf } from './parts.js'

/** @param {Point} p @param {number} width @param {number} height @returns {Point} */
export const toPixel = ([x, y], width, height) => [
  Math.min(Math.max(roundEven(x), 0), width - 1), Math.min(Math.max(roundEven(y), 0), height - 1)
]

/** @param {Doc} doc @param {number} width @param {number} height @returns {{mask: Mask, motion: Motion}[]} */
function moving(doc, width, height) {
  return doc.regions.map((r) => {
    const mask = rasterize(r, width, height)
    return { mask, motion: motionOf(r, /** @type {Point} */ (middleOf(mask))) }
  })
}

/**
 * A point of a region that shows its motion: the set pixel nearest to the centroid; off the anchor for turn and
 * scale.
 * @param {{mask: Mask, motion: Motion}} region @returns {[Point, Point]} where it starts and ends
 */
function handleOf({ mask, motion }) {
  const { data, x, y, w } = mask, turns = !motion.shift[0] && !motion.shift[1]
  const [cx, cy] = turns ? motion.anchor : /** @type {Point} */ (middleOf(mask))
  const pixels = [...data.keys()].filter((k) => data[k])
  const far = pixels.map((k) => (x + k % w - cx) ** 2 + (y + Math.floor(k / w) - cy) ** 2)
  const middle = turns ? [...far].sort((a, b) => a - b)[Math.max(1, roundEven(0.6 * far.length)) - 1] : 0
  let best = 0
  far.forEach((d, i) => { if (Math.abs(d - middle) < Math.abs(far[best] - middle)) best = i })
  const start = /** @type {Point} */ ([x + pixels[best] % w, y + Math.floor(pixels[best] / w)])
  return [start, applyTo(matrixOf(motion), start)]
}

/**
 * Where the picture may change; null: everywhere.
 * @param {Doc} doc @param {number} width @param {number} height @returns {Mask | null}
 */
function editable(doc, width, height) {
  if (doc.editable.mode === 'none') return null
  if (doc.editable.mode === 'painted') return rasterize(doc.editable, width, height)
  if (doc.regions.length) {
    const items = moving(doc, width, height).map(({ motion }, i) => ({ shape: doc.regions[i], motion }))
    const boxes = adaptiveMask(items, width, height).map((p) => rasterize({ polygons: [p] }, width, height))
    return together(boxes)
  }
  const radius = Math.min(width, height) / 8 // a brush along every way, a quarter of the picture's side wide
  return rasterize({ strokes: doc.points.map((p) => ({ points: [p.start, p.target], radius })) }, width, height)
}

/** @param {Mask | null} mask @param {number} width @param {number} height */
const editablePicture = (mask, width, height) => (
  mask ? pictureOf(mask, width, height) : { width, height, data: new Uint8Array(width * height).fill(255) }
)

/**
 * Whole pixels; without points, a handle a region.
 * @param {Doc} doc a finished one @param {number} width @param {number} height
 * @returns {{files: Record<string, string | Picture>, notes: string[]}}
 */
export function writeDrag100(doc, width, height) {
  const drawn = doc.points.map((p) => [p.start, p.target])
  const pairs = drawn.length ? drawn : moving(doc, width, height).map(handleOf)
  const points = pairs.flat().map((p) => toPixel(/** @type {Point} */ (p), width, height))
  const mask = editablePicture(editable(doc, width, height), width, height)
  const notes = doc.regions.length ? ['Drag100 knows points only: the regions themselves were left out'] : []
  return { files: { 'points.json': JSON.stringify({ points }), 'mask.png': mask }, notes }
}

/**
 * @param {Record<string, unknown>} data what points.json says @param {Picture | undefined} mask
 * @returns {object} a document's data
 */
export function readDrag100(data, mask) {
  const points = field(data, 'points', NO_LIST)
  if (points.length % 2 || !points.length || points.length > 2 * MAX_POINTS) {
    say(`points has ${points.length} entries; it needs 1 to ${MAX_POINTS} pairs of handle and target`)
  }
  return { points: pairsOf(points, 2).map(([start, target]) => ({ start, target })), ...painted(mask) }
}

/**
 * A region moves by handle and target, or turns by centre, handle and target; its handle lies in its part of the
 * picture of handles.
 * @param {Doc} doc a finished one @param {number} width @param {number} height
 * @returns {{files: Record<string, string | Picture>, notes: string[]}}
 */
export function writeDragNext(doc, width, height) {
  if (!doc.regions.length) say('DragNeXt moves regions, and this drag has points only: mark what shall move')
  const odd = doc.regions.find((r) => r.task === 'scale')
  if (odd) say(`${nameOf(odd, doc.regions.indexOf(odd))} is scaled, which DragNeXt can't say: leave it out`)
  const notes = doc.points.length ? ['DragNeXt moves regions: the points were left out'] : []
  const points = /** @type {Point[]} */ ([]), rotation = /** @type {boolean[]} */ ([])
  const regions = moving(doc, width, height)
  regions.forEach((region, i) => {
    const name = nameOf(doc.regions[i], i), { mask, motion } = region
    const met = regions.findIndex((other, k) => k < i && touch(mask, other.mask))
    if (met >= 0) {
      say(`${nameOf(doc.regions[met], met)} and ${name} touch, and DragNeXt would take them for one: move them apart`)
    }
    if (Math.abs(motion.angle) > Math.PI) {
      notes.push(`${name} turns by more than half a turn: DragNeXt turns the shorter way`)
    }
    if (motion.path.length) notes.push(`${name} goes straight: DragNeXt knows no paths`)
    for (const part of new Parts(mask).all()) {
      const ends = handleOf({ mask: part, motion }), turns = doc.regions[i].task === 'rotation'
      if (turns && Math.hypot(ends[0][0] - motion.anchor[0], ends[0][1] - motion.anchor[1]) < 1) {
        say(`${name} is a single point on its anchor, which shows no turn: move the anchor`)
      }
      const told = /** @type {Point[]} */ (turns ? [motion.anchor, ...ends] : ends)
      points.push(...told.map((p) => /** @type {Point} */ (p.map((v) => Math.round(v * 100) / 100))))
      rotation.push(...told.map(() => turns))
    }
  })
  return {
    files: {
      'points.json': JSON.stringify({ points, rotation }),
      'handle_region_mask.png': pictureOf(together(regions.map((r) => r.mask)), width, height),
      'editable_region_mask.png': editablePicture(editable(doc, width, height), width, height),
      'user_intention.json': JSON.stringify({ user_intention: doc.prompts.target })
    },
    notes
  }
}

/**
 * @param {Record<string, unknown>} data what points.json says @param {Picture | undefined} handles
 * @param {Picture | undefined} mask @param {string} [intention] what user_intention.json says
 * @returns {object} a document's data
 */
export function readDragNext(data, handles, mask, intention = '') {
  const all = field(data, 'points', NO_LIST), listed = field(data, 'rotation', NO_LIST)
  const turns = listed.length ? listed : all.map(() => false)
  if (all.length > 3 * MAX_POINTS || turns.length !== all.length || turns.some((t) => typeof t !== 'boolean')) {
    say(`it has ${all.length} points and ${turns.length} entries in rotation; every point needs true or false`)
  }
  const points = all.map((p, i) => readPoint(p, `points[${i}]`))
  const moves = points.filter((_, i) => !turns[i]), rotations = points.filter((_, i) => turns[i])
  if (moves.length % 2 || rotations.length % 3 || !points.length) {
    say(`it has ${moves.length} points that move and ${rotations.length} that turn; a move is handle and target, a ` +
      'turn is centre, handle and target')
  }
  if (!handles) say('handle_region_mask.png is missing: choose it together with points.json')
  const parts = new Parts(maskOf(/** @type {Picture} */ (handles)))
  const regions = /** @type {object[]} */ ([])
  for (const [h, t] of pairsOf(moves, 2)) {
    const part = parts.at(h), [x, y] = /** @type {Point} */ (middleOf(part))
    regions.push({ ...shapeOf(part), target: [x + t[0] - h[0], y + t[1] - h[1]] })
  }
  for (const [centre, h, t] of pairsOf(rotations, 3)) {
    if ([h, t].some((p) => p[0] === centre[0] && p[1] === centre[1])) {
      say(`the turn about (${centre}) has its handle or target on the centre: move it away`)
    }
    const angle = turnAngle(h, t, centre) * 180 / Math.PI
    regions.push({ ...shapeOf(parts.at(h)), task: 'rotation', anchor: centre, angle })
  }
  const ends = [...pairsOf(moves, 2), ...pairsOf(rotations, 3).map(([, h, t]) => [h, t])]
  const { width, height } = /** @type {Picture} */ (handles)
  const pairs = ends.map(([start, target]) => ({ start, target }))
  const prompts = { source: '', target: intention }
  return { ...painted(mask), image: { width, height }, regions, points: pairs, prompts }
}

/** @template T @param {T[]} list @param {number} n */
const pairsOf = (list, n) => Array.from({ length: list.length / n }, (_, i) => list.slice(n * i, n * i + n))

/** Everything may change if the mask is missing or empty. @param {Picture | undefined} picture */
export function painted(picture) {
  if (!picture) return { editable: { mode: 'none' } }
  const mask = maskOf(picture), image = { width: picture.width, height: picture.height }
  return { image, editable: mask.data.includes(1) ? { mode: 'painted', ...shapeOf(mask) } : { mode: 'none' } }
}

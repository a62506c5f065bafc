/**
 * Edits of a document: each returns a new document that shares what did not change. Pure.
 * A region's `auto` says that the editor chose the task; a choice by hand takes it away.
 */
import { applyTo, matrixOf, motionOf } from '../geometry.js'
/** @import { Doc, Pair, Point, Region, Sel, Task } from './types.js' */

const COLORS = ['#ff9f1c', '#2ec4f1', '#f15bb5', '#9be564', '#b79cff', '#ffd93d', '#ff6b6b', '#36d6b0']

/** The object with other values; undefined takes a key away. @template {object} T @param {T} object @param {Partial<T>} values @returns {T} */
export function patch(object, values) {
  const out = { ...object, ...values }
  for (const [key, value] of Object.entries(values)) if (value === undefined) delete out[/** @type {keyof T} */ (key)]
  return out
}

/** @param {Doc} doc @param {number} i @param {Partial<Region>} values @returns {Doc} */
export function withRegion(doc, i, values) {
  return { ...doc, regions: doc.regions.map((r, k) => (k === i ? patch(r, values) : r)) }
}

/** @param {Doc} doc @param {number} i @param {Partial<Pair>} values @returns {Doc} */
export function withPoint(doc, i, values) {
  return { ...doc, points: doc.points.map((p, k) => (k === i ? patch(p, values) : p)) }
}

/** The colour a region is shown in. @param {Region} region @param {number} i */
export function colorOf(region, i) {
  const color = region?.color
  return color && /^#[0-9a-f]{6}$/i.test(color) ? color : COLORS[i % COLORS.length]
}

/** A new region at the end, in the first colour that is free. @param {Doc} doc @param {{polygons: Point[][], holes?: Point[][]}} shape @returns {Doc} */
export function addRegion(doc, shape) {
  const used = doc.regions.map(colorOf)
  const color = COLORS.find((c) => !used.includes(c)) ?? COLORS[doc.regions.length % COLORS.length]
  /** @type {Region} */
  const region = { label: '', task: 'relocation', auto: true, color, polygons: shape.polygons, holes: shape.holes ?? [], strokes: [], path: [] }
  return { ...doc, regions: [...doc.regions, region] }
}

/** @template T @param {T[]} list @param {number} i */
const without = (list, i) => list.filter((_, k) => k !== i)

/** @param {Doc} doc @param {Sel} sel @returns {Doc} */
export function remove(doc, sel) {
  if (sel.kind === 'point') return { ...doc, points: without(doc.points, sel.index) }
  return { ...doc, regions: without(doc.regions, sel.index) }
}

/** The region at another place of the list. @param {Doc} doc @param {number} i @param {number} to @returns {Doc} */
export function reorder(doc, i, to) {
  const regions = without(doc.regions, i)
  regions.splice(Math.min(Math.max(to, 0), regions.length), 0, doc.regions[i])
  return { ...doc, regions }
}

/** @param {Point[]} line @param {Point} by @returns {Point[]} */
const shifted = (line, by) => line.map(([x, y]) => [x + by[0], y + by[1]])

/** The marking of a region and its motion with it, elsewhere. @param {Region} region @param {Point} by */
export function movedShape(region, by) {
  return patch(region, {
    polygons: region.polygons.map((/** @type {Point[]} */ p) => shifted(p, by)),
    holes: region.holes.map((/** @type {Point[]} */ p) => shifted(p, by)),
    strokes: region.strokes.map((s) => ({ ...s, points: shifted(s.points, by) })),
    ...movedMotion(region, by)
  })
}

/** Target, anchor and path of a region, elsewhere. @param {Region} region @param {Point} by */
export function movedMotion(region, by) {
  return {
    ...(region.target ? { target: shifted([region.target], by)[0] } : {}),
    ...(region.anchor ? { anchor: shifted([region.anchor], by)[0] } : {}),
    path: shifted(region.path ?? [], by)
  }
}

/** A copy of region i beside it. @param {Doc} doc @param {number} i @param {Point} by */
export function duplicate(doc, i, by) {
  const { color, id, ...rest } = movedShape(doc.regions[i], by)
  const out = addRegion(doc, rest)
  return withRegion(out, out.regions.length - 1, { ...rest, color: out.regions[out.regions.length - 1].color })
}

/** Where the centroid is after the motion. @param {Region} region @param {Point} centroid @returns {Point} */
export function movedCentroid(region, centroid) {
  return applyTo(matrixOf(motionOf(region, centroid), 1), centroid)
}

/** No motion. @type {Partial<Region>} */
export const STILL = { target: undefined, anchor: undefined, angle: undefined, scale: undefined, path: [] }

/** What puts a region's anchor: one that neither turns nor scales yet is made to turn. @param {Region} region @param {Point} anchor @returns {Partial<Region>} */
export function anchoredAt(region, anchor) {
  return region.task === 'rotation' || region.task === 'scale' ? { anchor } : { ...STILL, task: 'rotation', angle: 0, anchor }
}

/**
 * The same region under another task; its place is kept where the task can say it.
 * @param {Region} region @param {Task} task @param {Point} centroid @returns {Region}
 */
export function asTask(region, task, centroid) {
  if (task === region.task) return region
  if (task === 'rotation') return patch(region, { ...STILL, task, anchor: region.anchor ?? centroid, angle: region.angle ?? 0 })
  if (task === 'scale') return patch(region, { ...STILL, task, anchor: region.anchor ?? centroid, scale: region.scale ?? [1, 1] })
  if (region.task === 'relocation' || region.task === 'deformation') return patch(region, { task })
  const target = movedCentroid(region, centroid)
  const still = Math.hypot(target[0] - centroid[0], target[1] - centroid[1]) < 0.5
  return patch(region, { ...STILL, task, target: still ? undefined : target })
}

/**
 * A turn by `angle` degrees after a shift is one turn about the point that stays: the fixed point of p -> R (p - c) + c + shift.
 * @param {Point} centroid @param {Point} shift @param {number} angle degrees, not 0 @returns {Point}
 */
export function fixedPoint(centroid, shift, angle) {
  const t = (angle * Math.PI) / 180
  const k = 1 / (2 * Math.tan(t / 2)) // (I - R)^-1 = 1/2 I + cot(t/2)/2 J, with J the quarter turn
  return [centroid[0] + shift[0] / 2 - k * shift[1], centroid[1] + shift[1] / 2 + k * shift[0]]
}

/** Whether a region goes anywhere. @param {Region} region */
export function hasMotion(region) {
  if (region.task === 'scale') return !!region.scale && (region.scale[0] !== 1 || region.scale[1] !== 1)
  if (region.task === 'rotation') return region.angle != null ? region.angle !== 0 : !!region.target
  return !!region.target
}

/** Whether two documents mark the same: edits that leave a marking keep its lists. @param {Doc} a @param {Doc} b */
export function sameMarking(a, b) {
  const same = (/** @type {Region} */ r, /** @type {Region | undefined} */ s) => r.polygons === s?.polygons && r.holes === s.holes && r.strokes === s.strokes
  return a.regions.length === b.regions.length && a.regions.every((r, i) => same(r, b.regions[i]))
}

/** What a screen reader and the status line say of a region. @param {Region} region @param {number} i @param {Point} centroid */
export function describe(region, i, centroid) {
  const name = region.label ? `Region ${i + 1} "${region.label}"` : `Region ${i + 1}`
  const at = (/** @type {Point} */ p) => `${Math.round(p[0])},${Math.round(p[1])}`
  const motion = motionOf(region, centroid)
  if (!hasMotion(region)) return `${name}: no motion yet`
  if (region.task === 'rotation') {
    return `${name}: rotation ${Math.round((motion.angle * 180) / Math.PI)} degrees about ${at(motion.anchor)}`
  }
  if (region.task === 'scale') {
    return `${name}: scale ${motion.scale.map((s) => Math.round(s * 100)).join(' x ')} percent about ${at(motion.anchor)}`
  }
  const far = Math.round(Math.hypot(...motion.shift))
  const keys = region.path?.length ? ` over ${region.path.length} place${region.path.length > 1 ? 's' : ''}` : ''
  return `${name}: ${region.task} by ${far} pixels to ${at(/** @type {Point} */ (region.target))}${keys}`
}

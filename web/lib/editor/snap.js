// Snapping and locking of what is dragged. Pure. Distances are image pixels unless said otherwise.
/** @import { Editor, Point, Size } from './types.js' */

const STEP = 15 // degrees

/**
 * The point, drawn to the nearest of the lines within `reach`.
 * @param {Point} p @param {number[]} xs @param {number[]} ys @param {number} reach
 * @returns {{p: Point, guides: ({x: number} | {y: number})[]}}
 */
export function snapPoint(p, xs, ys, reach) {
  const x = nearest(p[0], xs, reach)
  const y = nearest(p[1], ys, reach)
  const guides = []
  if (x !== null) guides.push({ x })
  if (y !== null) guides.push({ y })
  return { p: [x ?? p[0], y ?? p[1]], guides }
}

/** @param {number} v @param {number[]} values @param {number} reach @returns {number | null} */
function nearest(v, values, reach) {
  let best = null
  for (const c of values) if (Math.abs(c - v) <= reach && (best === null || Math.abs(c - v) < Math.abs(best - v))) best = c
  return best
}

/** On the nearer axis through `from`. @param {Point} p @param {Point} from @returns {Point} */
export function lockAxis(p, from) {
  return Math.abs(p[0] - from[0]) >= Math.abs(p[1] - from[1]) ? [p[0], from[1]] : [from[0], p[1]]
}

/** Degrees to the nearest multiple of 15: always with `lock`, within 2 degrees with `snap`. @param {number} angle @param {boolean} lock @param {boolean} snap */
export function snapAngle(angle, lock, snap) {
  const near = Math.round(angle / STEP) * STEP
  if (lock || (snap && Math.abs(angle - near) < 2)) return near
  return Math.round(angle * 10) / 10
}

/** A factor drawn to 1, 1/2, 2 ... when close. @param {number} s @param {boolean} snap */
export function snapScale(s, snap) {
  const held = Math.min(Math.max(s, 0.05), 20)
  if (snap) for (const v of [0.5, 1, 1.5, 2, 3]) if (Math.abs(held / v - 1) < 0.025) return v
  return Math.round(held * 1000) / 1000
}

/** Lines worth snapping a target to: its start, the picture's middle, the places of the other regions. @param {Editor} ed @param {number} i */
export function lines(ed, i) {
  const xs = [(ed.size.width - 1) / 2]
  const ys = [(ed.size.height - 1) / 2]
  ed.doc.regions.forEach((region, k) => {
    const places = [ed.outline(region).centroid]
    if (k !== i && region.target) places.push(region.target)
    for (const [x, y] of places) {
      xs.push(x)
      ys.push(y)
    }
  })
  return { xs, ys }
}

/** @param {Point} p @param {Size} size @returns {Point} */
export function inPicture(p, size) {
  return [Math.min(Math.max(p[0], 0), size.width - 1), Math.min(Math.max(p[1], 0), size.height - 1)]
}

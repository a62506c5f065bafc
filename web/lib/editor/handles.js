// The handles of the selected region: where they are, how they look, which one is under the pointer.
import { MAX_PATH } from '../document.js'
import { applyTo, matrixOf, motionOf } from '../geometry.js'
import { disc, haloStroke } from './marks.js'
import { colorOf, hasMotion, movedCentroid } from './ops.js'
/** @import { Context, Editor, Outline, Point, Region } from './types.js' */

/** @typedef {{id: string, at: [number, number], source?: [number, number], index?: number, radius?: number, centre?: [number, number]}} Handle at, centre, radius: box pixels */

const EDGES = [['nw', 0, 0], ['n', 0.5, 0], ['ne', 1, 0], ['e', 1, 0.5], ['se', 1, 1], ['s', 0.5, 1], ['sw', 0, 1], ['w', 0, 0.5]]

/** Handles of the selected region or point, those on top first. @param {Editor} ed @returns {Handle[]} */
export function handlesOf(ed) {
  const { sel, view, doc } = ed
  if (!sel || ed.paintMask || ed.tool === 'pan') return []
  if (sel.kind === 'point') {
    const pair = doc.points[sel.index]
    return pair ? [{ id: 'target', at: view.toScreen(pair.target) }, { id: 'start', at: view.toScreen(pair.start) }] : []
  }
  const region = doc.regions[sel.index]
  if (!region || region.hidden || region.locked || ed.tool !== 'select') return []
  const outline = ed.outline(region)
  if (!outline.box.w) return []
  const motion = motionOf(region, outline.centroid)
  const m = matrixOf(motion, 1)
  const moves = hasMotion(region)
  const shifts = region.task !== 'rotation' && region.task !== 'scale'
  /** @type {Handle[]} */
  const out = []
  const centre = view.toScreen(movedCentroid(region, outline.centroid))
  if (!shifts) out.push({ id: 'anchor', at: view.toScreen(motion.anchor) })
  const off = Math.hypot(centre[0] - view.toScreen(motion.anchor)[0], centre[1] - view.toScreen(motion.anchor)[1]) > 10
  if (shifts ? moves : region.task === 'rotation' && off) out.push({ id: 'target', at: centre })
  if (shifts && moves) pathHandles(ed, region, outline, out)
  if (region.task === 'scale' || (!moves && shifts)) {
    const { x, y, w, h } = outline.box
    for (const [name, kx, ky] of /** @type {[string, number, number][]} */ (EDGES)) {
      const source = /** @type {[number, number]} */ ([x - 0.5 + kx * w, y - 0.5 + ky * h])
      out.push({ id: `scale-${name}`, at: view.toScreen(applyTo(m, source)), source })
    }
  }
  if (region.task !== 'scale') out.push(ringOf(ed, outline, centre, (motion.angle * 180) / Math.PI, out))
  return out
}

/** Places of the way, and a handle in the middle of each long part that makes a new one. @param {Editor} ed @param {Region} region @param {Outline} outline @param {Handle[]} out */
function pathHandles(ed, region, outline, out) {
  const way = [outline.centroid, ...region.path, /** @type {Point} */ (region.target)]
  region.path.forEach((p, index) => out.push({ id: 'key', index, at: ed.view.toScreen(p) }))
  if (region.path.length >= MAX_PATH) return
  for (let index = 0; index + 1 < way.length; index++) {
    const a = ed.view.toScreen(way[index])
    const b = ed.view.toScreen(way[index + 1])
    if (Math.hypot(a[0] - b[0], a[1] - b[1]) > 64) out.push({ id: 'mid', index, at: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] })
  }
}

/** The ring around the moved region; its knob where the box has room. @param {Editor} ed @param {Outline} outline @param {[number, number]} centre @param {number} angle @param {Handle[]} others @returns {Handle} */
function ringOf(ed, outline, centre, angle, others) {
  const { view } = ed
  const half = (Math.hypot(outline.box.w, outline.box.h) * view.scale) / 2
  const radius = Math.max(Math.min(half + 20, Math.min(view.width, view.height) * 0.42), 40)
  const turn = ed.gesture?.knob ?? knobSide(view, centre, radius, angle, others)
  const t = ((turn + angle) * Math.PI) / 180
  return { id: 'ring', radius, centre, at: [centre[0] + radius * Math.cos(t), centre[1] + radius * Math.sin(t)], index: turn }
}

/** @param {import('./view.js').View} view @param {[number, number]} c @param {number} radius @param {number} angle @param {Handle[]} others */
function knobSide(view, c, radius, angle, others) {
  for (const side of [-90, -45, -135, 0, 180, 45, 135, 90]) {
    const t = ((side + angle) * Math.PI) / 180
    const x = c[0] + radius * Math.cos(t)
    const y = c[1] + radius * Math.sin(t)
    if (others.some((h) => Math.hypot(h.at[0] - x, h.at[1] - y) < 26)) continue
    if (x > 14 && y > 14 && x < view.width - 14 && y < view.height - 14) return side
  }
  return -90
}

/** The handle at a box point. @param {Editor} ed @param {number[]} at @param {number} reach box pixels @returns {Handle | null} */
export function hitHandle(ed, at, reach) {
  const near = (/** @type {number[]} */ p, /** @type {number} */ r) => Math.hypot(at[0] - p[0], at[1] - p[1]) <= r
  const all = handlesOf(ed)
  const point = all.find((h) => near(h.at, h.id === 'mid' ? reach * 0.8 : reach))
  if (point) return point
  const ring = all.find((h) => h.id === 'ring')
  if (ring?.centre && Math.abs(Math.hypot(at[0] - ring.centre[0], at[1] - ring.centre[1]) - (ring.radius ?? 0)) <= reach * 0.6) return ring
  return null
}

/** The pointer's look over a handle. @param {Handle} handle */
export function cursorOf({ id }) {
  if (id === 'ring') return 'grab'
  if (id.startsWith('scale-')) return `${id.slice(6)}-resize`
  return 'move'
}

/** @param {Editor} ed */
export function drawHandles(ed) {
  const all = handlesOf(ed)
  const { g, sel } = ed
  if (!all.length || !sel) return
  const k = ed.coarse ? 1.5 : 1
  const color = sel.kind === 'region' ? colorOf(ed.doc.regions[sel.index], sel.index) : '#3b82f6'
  for (const h of [...all].reverse()) drawHandle(g, h, color, k, idOf(h) === ed.hot, ed.byKeys && ed.active === idOf(h))
}

/** A name that stays while the handle moves. @param {Handle} h */
export const idOf = (h) => (h.id === 'key' || h.id === 'mid' ? `${h.id}-${h.index}` : h.id)

/** @param {Context} g @param {Handle} h @param {string} color @param {number} k @param {boolean} hot @param {boolean} active */
function drawHandle(g, h, color, k, hot, active) {
  const [x, y] = h.at
  if (h.id === 'ring') {
    const c = /** @type {number[]} */ (h.centre)
    g.beginPath()
    g.arc(c[0], c[1], h.radius ?? 0, 0, 7)
    g.globalAlpha = hot ? 0.95 : 0.55
    haloStroke(g, '#ffffff', hot ? 2 : 1.2)
    g.globalAlpha = 1
    disc(g, h.at, 8.5 * k, hot ? color : '#ffffff', 'rgba(8, 10, 14, 0.8)', 1.5)
    g.beginPath()
    g.arc(x, y, 4 * k, -0.6, 4.4)
    g.moveTo(x + 4 * k * Math.cos(-0.6) - 3.2 * k, y + 4 * k * Math.sin(-0.6) + 0.4 * k)
    g.lineTo(x + 4 * k * Math.cos(-0.6), y + 4 * k * Math.sin(-0.6))
    g.lineTo(x + 4 * k * Math.cos(-0.6) + 0.6 * k, y + 4 * k * Math.sin(-0.6) - 3.2 * k)
    g.strokeStyle = '#14161b'
    g.lineWidth = 1.5
    g.stroke()
  } else if (h.id === 'anchor') {
    g.beginPath()
    g.arc(x, y, 7 * k, 0, 7)
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      g.moveTo(x + 3 * k * dx, y + 3 * k * dy)
      g.lineTo(x + 12 * k * dx, y + 12 * k * dy)
    }
    haloStroke(g, hot ? '#ffffff' : '#ffe066', 2)
  } else if (h.id === 'mid') {
    g.globalAlpha = hot ? 1 : 0.85
    disc(g, h.at, 5.5 * k, 'rgba(20, 22, 27, 0.85)', '#ffffff', 1.4)
    g.beginPath()
    g.moveTo(x - 2.6 * k, y)
    g.lineTo(x + 2.6 * k, y)
    g.moveTo(x, y - 2.6 * k)
    g.lineTo(x, y + 2.6 * k)
    g.strokeStyle = '#ffffff'
    g.lineWidth = 1.4
    g.stroke()
    g.globalAlpha = 1
  } else if (h.id === 'key' || h.id.startsWith('scale-')) {
    const r = (h.id === 'key' ? 6 : 4.5) * k
    g.save()
    g.translate(x, y)
    if (h.id === 'key') g.rotate(Math.PI / 4)
    g.beginPath()
    g.rect(-r, -r, 2 * r, 2 * r)
    g.fillStyle = hot ? color : '#ffffff'
    g.fill()
    g.strokeStyle = 'rgba(8, 10, 14, 0.8)'
    g.lineWidth = 1.5
    g.stroke()
    g.restore()
  } else {
    disc(g, h.at, 7 * k, hot ? color : '#ffffff', 'rgba(8, 10, 14, 0.8)', 1.6)
    disc(g, h.at, 3 * k, hot ? '#ffffff' : color, 'rgba(0, 0, 0, 0)', 0)
  }
  if (active) {
    g.beginPath()
    g.arc(x, y, 13 * k, 0, 7)
    haloStroke(g, '#5aa2ff', 2)
  }
}

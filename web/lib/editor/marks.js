// Marks on the canvas, in box pixels: arrows, arcs, numbers, point pairs, guides, the keyboard's cross.
import { applyTo, matrixOf, pathPoint } from '../geometry.js'
/** @import { Context, Editor, Item, Pair, Point } from './types.js' */

const HALO = 'rgba(8, 10, 14, 0.7)'
const GUIDE = '#ff4fd8'

/** Strokes twice: a dark halo, then the colour. @param {Context} g @param {string} color @param {number} width */
export function haloStroke(g, color, width) {
  g.lineCap = g.lineJoin = 'round'
  g.strokeStyle = HALO
  g.lineWidth = width + 2.4
  g.stroke()
  g.strokeStyle = color
  g.lineWidth = width
  g.stroke()
}

/** Begins a path over picture points. @param {Editor} ed @param {Context} g @param {Point[]} points */
export function trace(ed, g, points) {
  g.beginPath()
  points.forEach((p, i) => {
    const [x, y] = ed.view.toScreen(p)
    if (i) g.lineTo(x, y)
    else g.moveTo(x, y)
  })
}

/** @param {Context} g @param {number[]} p @param {number} r @param {string} fill @param {string} [rim] @param {number} [width] */
export function disc(g, p, r, fill, rim = HALO, width = 1.5) {
  g.beginPath()
  g.arc(p[0], p[1], r, 0, 7)
  g.fillStyle = fill
  g.fill()
  g.strokeStyle = rim
  g.lineWidth = width
  g.stroke()
}

/** The point `by` before the end of a line. @param {number[]} from @param {number[]} tip @param {number} by */
function before(from, tip, by) {
  const far = Math.hypot(tip[0] - from[0], tip[1] - from[1]) || 1
  return /** @type {[number, number]} */ ([tip[0] - ((tip[0] - from[0]) / far) * by, tip[1] - ((tip[1] - from[1]) / far) * by])
}

/** A head at `tip`, coming from `from`. @param {Context} g @param {number[]} from @param {number[]} tip @param {number} size */
function head(g, from, tip, size) {
  const t = Math.atan2(tip[1] - from[1], tip[0] - from[0])
  g.moveTo(tip[0] - size * Math.cos(t - 0.5), tip[1] - size * Math.sin(t - 0.5))
  g.lineTo(tip[0], tip[1])
  g.lineTo(tip[0] - size * Math.cos(t + 0.5), tip[1] - size * Math.sin(t + 0.5))
}

/** The way of a region: a polyline with a head, an arc about the anchor, or the box that grows. @param {Editor} ed @param {Item} it @param {number} progress */
export function drawArrow(ed, it, progress) {
  if (!it.moves) return
  const { g, view } = ed
  const width = it.selected ? 2.4 : 1.7
  g.beginPath()
  if (it.region.task === 'rotation') arc(ed, it)
  else if (it.region.task === 'scale') corners(ed, it)
  else {
    const way = [it.outline.centroid, ...it.region.path, /** @type {Point} */ (it.region.target)].map((p) => view.toScreen(p))
    const far = Math.hypot(way[way.length - 1][0] - way[0][0], way[way.length - 1][1] - way[0][1])
    if (far < 6 && way.length === 2) return
    if (it.selected && far > 30) way.push(before(way[way.length - 2], /** @type {Point} */ (way.pop()), 10)) // the head beside the handle
    way.forEach(([x, y], i) => (i ? g.lineTo(x, y) : g.moveTo(x, y)))
    head(g, way[way.length - 2], way[way.length - 1], Math.min(12, far / 2))
  }
  haloStroke(g, '#ffffff', width)
  if (progress > 0.005 && progress < 0.995) {
    const at = view.toScreen(applyTo(matrixOf(it.motion, progress), it.outline.centroid))
    disc(g, at, 4.5, it.color)
  }
}

/** @param {Editor} ed @param {Item} it */
function arc(ed, it) {
  const { g, view } = ed
  const { anchor, angle } = it.motion
  const a = view.toScreen(anchor)
  const c = view.toScreen(it.outline.centroid)
  let radius = Math.hypot(c[0] - a[0], c[1] - a[1])
  let from = Math.atan2(c[1] - a[1], c[0] - a[0])
  if (radius < 8) {
    radius = Math.min(Math.max(it.outline.box.w, it.outline.box.h) * view.scale * 0.32, 60)
    from = -Math.PI / 2
  }
  const sweep = Math.min(Math.max(angle, -2 * Math.PI), 2 * Math.PI)
  const to = from + sweep
  g.arc(a[0], a[1], radius, from, to, sweep < 0)
  if (Math.abs(sweep) * radius < 8) return
  const back = to - Math.sign(sweep) * Math.min(Math.abs(sweep), 9 / radius)
  const on = (/** @type {number} */ t) => [a[0] + radius * Math.cos(t), a[1] + radius * Math.sin(t)]
  head(g, on(back), on(to), 11)
}

/** @param {Editor} ed @param {Item} it */
function corners(ed, it) {
  const { g, view } = ed
  const { x, y, w, h } = it.outline.box
  const m = matrixOf(it.motion, 1)
  for (const p of [[x, y], [x + w - 1, y], [x + w - 1, y + h - 1], [x, y + h - 1]]) {
    const from = view.toScreen(p)
    const to = view.toScreen(applyTo(m, /** @type {[number, number]} */ (p)))
    const far = Math.hypot(to[0] - from[0], to[1] - from[1])
    if (far < 4) continue
    g.moveTo(from[0], from[1])
    g.lineTo(to[0], to[1])
    head(g, from, to, Math.min(9, far / 2))
  }
}

/** The number of a region at its centroid. @param {Editor} ed @param {Item} it */
export function drawBadge(ed, it) {
  number(ed.g, ed.view.toScreen(it.outline.centroid), String(it.index + 1), it.color, it.selected)
}

/** @param {Context} g @param {number[]} p @param {string} text @param {string} color @param {boolean} selected */
function number(g, p, text, color, selected) {
  disc(g, p, selected ? 9.5 : 8, color, selected ? '#ffffff' : HALO, selected ? 2 : 1.5)
  g.fillStyle = '#14161b'
  g.font = `700 ${selected ? 12 : 11}px system-ui, sans-serif`
  g.textAlign = 'center'
  g.textBaseline = 'middle'
  g.fillText(text, p[0], p[1] + 0.5)
}

/** A pair of points: start, way, target. @param {Editor} ed @param {Pair} pair @param {number} i @param {number} progress */
export function drawPair(ed, pair, i, progress) {
  const { g, view } = ed
  const selected = ed.sel?.kind === 'point' && ed.sel.index === i
  const a = view.toScreen(pair.start)
  const b = view.toScreen(pair.target)
  const far = Math.hypot(b[0] - a[0], b[1] - a[1])
  if (far > 3) {
    g.beginPath()
    g.moveTo(a[0], a[1])
    g.lineTo(b[0], b[1])
    head(g, a, b, Math.min(11, far / 2))
    haloStroke(g, selected ? '#ffe066' : '#ffffff', selected ? 2.4 : 1.8)
  }
  number(g, a, String(i + 1), '#ff5a5f', selected)
  disc(g, b, selected ? 6 : 5, '#3b82f6', '#ffffff', 1.8)
  if (progress > 0.005 && progress < 0.995) disc(g, view.toScreen(pathPoint(pair.start, [], pair.target, progress)), 4, '#ffe066')
}

/** A small text on a dark ground beside `p`, kept inside the box. @param {Editor} ed @param {number[]} p @param {string} text */
export function tag(ed, p, text) {
  const { g, view } = ed
  g.font = '600 11.5px system-ui, sans-serif'
  g.textAlign = 'left'
  g.textBaseline = 'middle'
  const w = g.measureText(text).width + 14
  const x = Math.min(Math.max(p[0] + 14, 4), view.width - w - 4)
  const y = Math.min(Math.max(p[1] - 24, 14), view.height - 14)
  g.beginPath()
  g.roundRect(x, y - 11, w, 22, 6)
  g.fillStyle = 'rgba(16, 18, 24, 0.88)'
  g.fill()
  g.fillStyle = '#ffffff'
  g.fillText(text, x + 7, y + 0.5)
}

/** Guides of the snap, numbers of the gesture, the keyboard's cross. @param {Editor} ed */
export function drawHud(ed) {
  const { g, view, size } = ed
  const { gesture } = ed
  for (const guide of gesture?.guides ?? []) {
    const [x0, y0] = view.toScreen([-0.5, -0.5])
    const [x1, y1] = view.toScreen([size.width - 0.5, size.height - 0.5])
    g.beginPath()
    if (guide.x !== undefined) {
      const x = view.toScreen([guide.x, 0])[0]
      g.moveTo(x, y0)
      g.lineTo(x, y1)
    } else {
      const y = view.toScreen([0, guide.y])[1]
      g.moveTo(x0, y)
      g.lineTo(x1, y)
    }
    g.setLineDash([5, 4])
    g.strokeStyle = GUIDE
    g.lineWidth = 1.2
    g.stroke()
    g.setLineDash([])
  }
  if (gesture?.tag && gesture.tagAt) tag(ed, view.toScreen(gesture.tagAt), gesture.tag)
  if (ed.cursor) {
    const [x, y] = view.toScreen(ed.cursor)
    g.beginPath()
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      g.moveTo(x + 4 * dx, y + 4 * dy)
      g.lineTo(x + 15 * dx, y + 15 * dy)
    }
    haloStroke(g, '#ffffff', 2)
    tag(ed, [x, y], `${Math.round(ed.cursor[0])}, ${Math.round(ed.cursor[1])}`)
  }
}

// What may change, live: outside it the picture is dimmed, around it runs a bright line.
import { motionOf } from '../geometry.js'
import { adaptiveMask } from '../raster.js'
import { hasMotion } from './ops.js'
import { pathOf } from './shapes.js'
/** @import { Context, Editor, Point } from './types.js' */

/** The outlines of what may change as the server will draw it; their union is meant. @param {Editor} ed @returns {Point[][]} */
export function adaptivePolygons(ed) {
  const regions = ed.shown.regions.map((region) => {
    const outline = ed.outline(region)
    return { hull: outline.hull, motion: motionOf(region, outline.centroid) }
  })
  return adaptiveMask(regions, ed.size.width, ed.size.height)
}

/** @typedef {{path: Path2D, grow: number, rule: CanvasFillRule}} Area */

/** The area that may change: a path and the radius it grows by; null where everything may. @param {Editor} ed @returns {Area | null} */
function editableArea(ed) {
  const { shown: doc, size } = ed
  if (doc.editable.mode === 'none') return null
  if (doc.editable.mode === 'adaptive' && !doc.points.length && !doc.regions.some(hasMotion)) return null // nothing moves yet
  if (doc.editable.mode === 'painted') return { path: ed.outline(doc.editable).path, grow: 0, rule: 'evenodd' }
  if (doc.regions.length) return { path: pathOf(adaptivePolygons(ed)), grow: 0, rule: 'nonzero' }
  if (!doc.points.length) return null
  const path = new Path2D()
  for (const { start, target } of doc.points) {
    path.moveTo(start[0], start[1])
    path.lineTo(target[0], target[1] + 1e-3) // a line without length draws no round end
  }
  return { path, grow: Math.min(size.width, size.height) / 8, rule: 'nonzero' }
}

/** From layers that are drawn again only when the document or the view changed. @param {Editor} ed */
export function drawMask(ed) {
  const { g, view, size } = ed
  const base = view.matrix()
  const dim = ed.layer('dim')
  const edge = ed.layer('edge')
  const key = [...base, size.width, size.height, ed.paintMask].join()
  if (dim.key !== key || dim.of !== ed.shown) {
    const area = editableArea(ed)
    if (area) paint(ed, area, dim.g, edge.g)
    Object.assign(dim, { key, of: ed.shown, empty: !area })
  }
  if (dim.empty) return
  g.setTransform(1, 0, 0, 1, 0, 0)
  g.drawImage(dim.g.canvas, 0, 0)
  g.save()
  g.setTransform(...base)
  g.beginPath()
  g.rect(-0.5, -0.5, size.width, size.height)
  g.clip()
  g.setTransform(1, 0, 0, 1, 0, 0)
  g.drawImage(edge.g.canvas, 0, 0)
  g.restore()
}

/** What is dimmed, and the line around what may change. @param {Editor} ed @param {Area} area @param {Context} dim @param {Context} edge */
function paint(ed, area, dim, edge) {
  const { view, size } = ed
  const base = view.matrix()
  const fill = (/** @type {Context} */ c, /** @type {GlobalCompositeOperation} */ how, /** @type {number} */ more) => {
    c.globalCompositeOperation = how
    c.lineJoin = c.lineCap = 'round'
    c.lineWidth = 2 * area.grow + (2 * more) / view.scale
    c.fill(area.path, area.rule)
    if (c.lineWidth > 0 && area.grow + more > 0) c.stroke(area.path)
  }
  for (const c of [dim, edge]) {
    c.setTransform(1, 0, 0, 1, 0, 0)
    c.globalCompositeOperation = 'source-over'
    c.clearRect(0, 0, c.canvas.width, c.canvas.height)
    c.setTransform(...base)
    c.strokeStyle = c.fillStyle = '#000'
  }
  dim.fillStyle = ed.paintMask ? 'rgba(140, 20, 30, 0.5)' : 'rgba(10, 12, 18, 0.3)' // frozen: red while it is painted
  dim.fillRect(-0.5, -0.5, size.width, size.height)
  dim.fillStyle = '#000'
  fill(dim, 'destination-out', 0)
  edge.strokeStyle = edge.fillStyle = 'rgba(255, 255, 255, 0.85)'
  fill(edge, 'source-over', 1.1)
  edge.strokeStyle = edge.fillStyle = '#000'
  fill(edge, 'destination-out', 0)
}

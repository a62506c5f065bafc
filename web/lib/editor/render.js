// One frame: picture, what may change, holes, ghosts, outlines; then marks and handles on top.
import { matrixOf, motionOf, multiply } from '../geometry.js'
import { drawHandles } from './handles.js'
import { drawArrow, drawBadge, drawHud, drawPair } from './marks.js'
import { drawMask } from './render_mask.js'
import { colorOf, hasMotion } from './ops.js'
import { cutOf } from './shapes.js'
/** @import { Context, Editor, Item, Matrix, Picture, Region, Size } from './types.js' */

const HALO = 'rgba(8, 10, 14, 0.62)'

/** Draws the whole canvas. @param {Editor} ed */
export function render(ed) {
  const { view, g } = ed
  g.setTransform(1, 0, 0, 1, 0, 0)
  g.clearRect(0, 0, g.canvas.width, g.canvas.height)
  drawPicture(ed)
  if (ed.showing === 'result' || ed.peek) return drawSplit(ed)
  const watching = ed.showing === 'preview' // the frames of the running model, which nothing dims
  if (ed.show.mask && !watching) drawMask(ed)
  const base = view.matrix()
  const items = ed.shown.regions.map((r, i) => item(ed, r, i)).filter((x) => !x.region.hidden)
  const progress = ed.scrub
  if (!watching && ed.show.ghost) for (const it of items) drawHole(ed, it, base)
  for (const it of items) drawOutline(g, it.outline.path, base, it.color, { width: it.selected ? 1.8 : 1.2, fill: it.moves ? 0 : it.selected ? 0.22 : 0.14, scale: view.scale })
  for (const it of items) if (it.moves) drawGhost(ed, it, base, progress)
  g.setTransform(view.dpr, 0, 0, view.dpr, 0, 0)
  ed.doc.points.forEach((p, i) => drawPair(ed, p, i, progress))
  for (const it of items) {
    drawArrow(ed, it, progress)
    drawBadge(ed, it)
  }
  if (!watching && !ed.trial) {
    drawHandles(ed)
    drawDraft(ed)
    drawHud(ed)
  }
  g.setTransform(1, 0, 0, 1, 0, 0)
}

/** What the frame needs to know of a region. @param {Editor} ed @param {Region} region @param {number} i */
function item(ed, region, i) {
  const outline = ed.outline(region)
  return {
    region, outline, index: i, color: colorOf(region, i), motion: motionOf(region, outline.centroid),
    selected: ed.sel?.kind === 'region' && ed.sel.index === i, moves: hasMotion(region)
  }
}

/** The picture (or the frame of the running model) from a layer that is drawn again only when it or the view changed. @param {Editor} ed */
function drawPicture(ed) {
  const { view, g, size } = ed
  const image = (!ed.peek && ed.showing === 'preview' && ed.preview) || ed.image
  const [a, , , d, e, f] = view.matrix()
  const key = [a, e, f, g.canvas.width, g.canvas.height, size.width, size.height].join()
  const layer = ed.layer('picture')
  if (layer.key !== key || layer.of !== image) {
    const p = layer.g
    p.setTransform(1, 0, 0, 1, 0, 0)
    p.clearRect(0, 0, p.canvas.width, p.canvas.height)
    p.setTransform(a, 0, 0, d, e, f)
    paintPicture(p, image, size, a)
    layer.key = key
    layer.of = image
  }
  g.drawImage(layer.g.canvas, 0, 0)
}

/** @param {Context} g @param {Picture | null} image @param {Size} size @param {number} zoom */
function paintPicture(g, image, size, zoom) {
  if (!image) {
    const cell = Math.max(size.width, size.height) / 16
    g.fillStyle = '#3a3d45'
    g.fillRect(-0.5, -0.5, size.width, size.height)
    g.fillStyle = '#33363d'
    for (let y = 0; y * cell < size.height; y++) {
      for (let x = y % 2; x * cell < size.width; x += 2) {
        const w = Math.min(cell, size.width - x * cell)
        g.fillRect(x * cell - 0.5, y * cell - 0.5, w, Math.min(cell, size.height - y * cell))
      }
    }
    return
  }
  g.imageSmoothingEnabled = zoom < 3 // above that the user looks at pixels
  g.imageSmoothingQuality = 'high'
  g.drawImage(image, -0.5, -0.5, size.width, size.height)
}

/** The result, with the source left of the divider; only the source while the before key is held. @param {Editor} ed */
function drawSplit(ed) {
  const { g, view, size } = ed
  if (ed.peek || !ed.result) return
  const [left, top] = view.toScreen([-0.5, -0.5])
  const w = size.width * view.scale
  const h = size.height * view.scale
  const x = left + w * ed.split
  g.setTransform(view.dpr, 0, 0, view.dpr, 0, 0)
  g.save()
  g.beginPath()
  g.rect(x, top, left + w - x, h)
  g.clip()
  g.imageSmoothingEnabled = view.scale * view.dpr < 3
  g.imageSmoothingQuality = 'high'
  g.drawImage(ed.result, left, top, w, h)
  g.restore()
  const y = Math.min(Math.max(top + h / 2, 30), view.height - 30)
  g.lineWidth = 4
  g.strokeStyle = HALO
  line(g, x, top, x, top + h)
  g.lineWidth = 2
  g.strokeStyle = '#fff'
  line(g, x, top, x, top + h)
  g.beginPath()
  g.arc(x, y, 13, 0, 7)
  g.fillStyle = '#fff'
  g.fill()
  g.fillStyle = '#22252c'
  for (const s of [-1, 1]) {
    g.beginPath()
    g.moveTo(x + s * 9, y)
    g.lineTo(x + s * 3.5, y - 4.5)
    g.lineTo(x + s * 3.5, y + 4.5)
    g.fill()
  }
}

/** @param {Context} g @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1 */
function line(g, x0, y0, x1, y1) {
  g.beginPath()
  g.moveTo(x0, y0)
  g.lineTo(x1, y1)
  g.stroke()
}

/** Where a region leaves from: darkened and hatched. @param {Editor} ed @param {Item} it @param {Matrix} base */
function drawHole(ed, it, base) {
  if (!it.moves) return
  const { g } = ed
  g.setTransform(...base)
  g.fillStyle = 'rgba(10, 12, 18, 0.5)'
  g.fill(it.outline.path, 'evenodd')
  const hatch = ed.hatch()
  hatch.setTransform(new DOMMatrix([1 / base[0], 0, 0, 1 / base[3], 0, 0])) // the same lines on screen at every zoom
  g.fillStyle = hatch
  g.fill(it.outline.path, 'evenodd')
}

/**
 * The region's own pixels where its motion takes them at `progress`, under the exact affine map.
 * @param {Editor} ed @param {Item} it @param {Matrix} base @param {number} progress
 */
function drawGhost(ed, it, base, progress) {
  const { g, show } = ed
  const watching = ed.showing === 'preview'
  const cut = watching || !show.ghost ? null : cutOf(it.outline, ed.image, ed.size)
  const place = (/** @type {number} */ s) => multiply(base, matrixOf(it.motion, s))
  if (cut && show.onion) {
    for (const s of [0.25, 0.5, 0.75]) {
      if (s >= progress) break
      g.setTransform(...place(s))
      g.globalAlpha = 0.22
      g.drawImage(cut.canvas, cut.x, cut.y)
    }
  }
  if (cut) {
    g.setTransform(...place(progress))
    g.globalAlpha = it.selected && ed.gesture ? 0.82 : 0.94
    g.drawImage(cut.canvas, cut.x, cut.y)
  }
  g.globalAlpha = 1
  const moved = new Path2D()
  moved.addPath(it.outline.path, new DOMMatrix(matrixOf(it.motion, progress)))
  drawOutline(g, moved, base, it.color, { width: it.selected ? 2 : 1.4, dash: [6, 4], fill: cut || watching ? 0 : 0.2, scale: ed.view.scale })
}

/**
 * An outline with a dark halo, readable on every picture.
 * @param {Context} g @param {Path2D} path @param {Matrix} base @param {string} color
 * @param {{width: number, fill?: number, dash?: number[], scale: number}} look
 */
export function drawOutline(g, path, base, color, { width, fill = 0, dash = [], scale }) {
  g.setTransform(...base)
  if (fill) {
    g.globalAlpha = fill
    g.fillStyle = color
    g.fill(path, 'evenodd')
    g.globalAlpha = 1
  }
  g.lineJoin = 'round'
  g.strokeStyle = HALO
  g.lineWidth = (width + 2) / scale
  g.stroke(path)
  g.setLineDash(dash.map((v) => v / scale))
  g.strokeStyle = color
  g.lineWidth = width / scale
  g.stroke(path)
  g.setLineDash([])
}

/** What the tool in hand has begun. @param {Editor} ed */
function drawDraft(ed) {
  const tool = ed.tools[ed.tool]
  tool?.draw?.(ed, ed.g)
  ed.gesture?.draw?.(ed.g)
}

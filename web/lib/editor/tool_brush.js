// Brush and eraser: discs along the way of the pointer.
import { finishShape, modeOf } from './marking.js'
import { trace } from './marks.js'
/** @import { Context, Drag, Editor, Keys, Point, Tool } from './types.js' */

/** @param {Editor} ed @param {Context} g @param {Point[]} points @param {boolean} erase */
function drawStroke(ed, g, points, erase) {
  trace(ed, g, points)
  const [x, y] = ed.view.toScreen(points[points.length - 1])
  g.lineTo(x + 0.01, y)
  g.lineCap = g.lineJoin = 'round'
  g.lineWidth = 2 * ed.brush * ed.view.scale
  g.strokeStyle = erase ? 'rgba(255, 107, 107, 0.5)' : 'rgba(255, 255, 255, 0.5)'
  g.stroke()
}

/** The brush's rim under the pointer. @param {Editor} ed @param {Context} g */
function drawRim(ed, g) {
  const p = ed.cursor ?? ed.hover
  if (!p) return
  const [x, y] = ed.view.toScreen(p)
  for (const [color, width] of /** @type {[string, number][]} */ ([['rgba(8, 10, 14, 0.7)', 3], ['#ffffff', 1.3]])) {
    g.beginPath()
    g.arc(x, y, Math.max(ed.brush * ed.view.scale, 1), 0, 7)
    g.strokeStyle = color
    g.lineWidth = width
    g.stroke()
  }
}

/** @param {Editor} ed @param {Point} p @param {Keys} e @param {boolean} erase @returns {Drag} */
function stroke(ed, p, e, erase) {
  const points = [p]
  const asked = modeOf(ed, e)
  // strokes of one stay at the tool belong together, until the region was dragged
  const again = ed.sel?.kind === 'region' && ed.toolRegion === ed.sel.index
  const mode = erase ? 'subtract' : asked === 'new' && again ? 'add' : asked
  const radius = () => Math.max(1, Math.round(ed.brush))
  return {
    name: 'stroke',
    move(/** @type {Point} */ q) {
      const last = points[points.length - 1]
      if (Math.hypot(q[0] - last[0], q[1] - last[1]) * ed.view.scale >= 2) points.push(q)
    },
    end() {
      const made = finishShape(ed, { strokes: [{ points, radius: radius() }] }, mode)
      if (made && !erase && ed.sel) ed.toolRegion = ed.sel.index
    },
    draw(/** @type {Context} */ g) {
      drawStroke(ed, g, points, mode === 'subtract')
    }
  }
}

/** @type {Tool} */
export const brush = {
  label: 'Brush', key: 'B', icon: 'brush', keys: 'drag', cursor: 'none', sized: true,
  hint: 'Paint the part that shall move; [\u00a0and\u00a0] change the size, Alt takes away',
  /** @param {Editor} ed @param {Point} p @param {Keys} e */
  down: (ed, p, e) => stroke(ed, p, e, false),
  draw: drawRim
}

/** @type {Tool} */
export const eraser = {
  label: 'Eraser', key: 'E', icon: 'eraser', keys: 'drag', cursor: 'none', sized: true,
  hint: 'Paint over what does not belong to the region; [\u00a0and\u00a0] change the size',
  /** @param {Editor} ed @param {Point} p @param {Keys} e */
  down: (ed, p, e) => stroke(ed, p, e, true),
  draw: drawRim
}

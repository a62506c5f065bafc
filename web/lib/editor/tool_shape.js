// Polygon and lasso, rectangle, ellipse.
import { haloStroke, trace } from './marks.js'
import { finishShape, modeOf } from './marking.js'
/** @import { Context, Editor, Keys, Mode, Point, PolygonTool, Tool } from './types.js' */

const TINTS = /** @type {Record<Mode, string>} */ ({ new: '#ffffff', add: '#9be564', subtract: '#ff6b6b' })

/** @param {Editor} ed @param {Point} p @returns {Point} */
const held = (ed, p) => [Math.min(Math.max(p[0], -0.5), ed.size.width - 0.5), Math.min(Math.max(p[1], -0.5), ed.size.height - 0.5)]

/** @param {Editor} ed @param {Context} g @param {Point[]} points @param {boolean} closed @param {Mode} mode */
function drawLine(ed, g, points, closed, mode) {
  trace(ed, g, points)
  if (closed) g.closePath()
  if (points.length > 2) {
    g.fillStyle = `${TINTS[mode]}2e`
    g.fill()
  }
  haloStroke(g, TINTS[mode], 1.8)
}

/** A click puts a corner, a drag draws freely; Enter, a double click or the first corner closes. @type {PolygonTool} */
export const polygon = {
  label: 'Polygon and lasso', key: 'P', icon: 'polygon', keys: 'click', cursor: 'crosshair',
  hint: 'Drag around the part, or click corner by corner; Enter or a click on the first corner closes',

  /** @param {Editor} ed @param {Point} p @param {Keys} e */
  down(ed, p, e) {
    const at = held(ed, p)
    const earlier = ed.draft
    const corners = earlier?.points ?? []
    const begun = corners.length
    if (begun >= 3 && near(ed, corners[0], at)) return polygon.finish(ed), null
    if (begun && near(ed, corners[begun - 1], at)) return null // the second press of a double click
    const { points } = (ed.draft = { points: [...corners, at], mode: earlier?.mode ?? modeOf(ed, e) })
    let free = 0
    return {
      name: 'lasso',
      move(/** @type {Point} */ q) {
        const next = held(ed, q)
        const last = points[points.length - 1]
        if (Math.hypot(next[0] - last[0], next[1] - last[1]) * ed.view.scale < 3) return
        points.push(next)
        free++
      },
      end() {
        if (free > 4 && begun === 0) polygon.finish(ed)
      },
      cancel() {
        ed.draft = earlier // two fingers that zoom take back their own corner, not the others
      }
    }
  },

  /** Closes what is begun. @param {Editor} ed */
  finish(ed) {
    const draft = ed.draft
    ed.draft = null
    if (!draft) return
    if (draft.points.length < 3) return ed.say('An area needs at least 3 corners')
    if (finishShape(ed, { polygons: [draft.points] }, draft.mode) && !ed.paintMask) ed.setTool('select')
  },

  /** @param {Editor} ed */
  back(ed) {
    ed.draft?.points.pop()
    if (!ed.draft?.points.length) ed.draft = null
  },

  /** @param {Editor} ed @param {Context} g */
  draw(ed, g) {
    if (!ed.draft) return
    const { points, mode } = ed.draft
    const tip = ed.cursor ?? ed.hover
    drawLine(ed, g, tip && !ed.gesture ? [...points, tip] : points, false, mode)
    const [x, y] = ed.view.toScreen(points[0])
    g.beginPath()
    g.arc(x, y, points.length > 2 ? 6 : 4, 0, 7)
    g.fillStyle = '#14161b'
    g.fill()
    haloStroke(g, TINTS[mode], 2)
  }
}

/** @param {Editor} ed @param {Point} a @param {Point} b */
const near = (ed, a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) * ed.view.scale < (ed.coarse ? 16 : 8)

/**
 * A tool that draws a shape from corner to corner.
 * @param {{label: string, key: string, icon: string, hint: string}} names @param {(a: Point, b: Point) => Point[]} outline
 * @returns {Tool}
 */
function boxTool(names, outline) {
  return {
    ...names, keys: 'drag', cursor: 'crosshair',
    /** @param {Editor} ed @param {Point} p @param {Keys} e */
    down(ed, p, e) {
      const from = held(ed, p)
      const mode = modeOf(ed, e)
      const combined = mode !== 'new' // Shift and Alt that began the drag are used up: only pressed again do they square it
      let to = from
      return {
        name: 'shape', tag: '', tagAt: from,
        move(/** @type {Point} */ q, /** @type {Keys} */ f) {
          to = held(ed, q)
          if (f.shiftKey && !combined) {
            const side = Math.max(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]))
            to = held(ed, [from[0] + Math.sign(to[0] - from[0]) * side, from[1] + Math.sign(to[1] - from[1]) * side])
          }
          this.tag = `${Math.round(Math.abs(to[0] - from[0]))} \u00d7 ${Math.round(Math.abs(to[1] - from[1]))} px`
          this.tagAt = to
        },
        end() {
          if (Math.min(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])) < 2) return
          if (finishShape(ed, { polygons: [outline(from, to)] }, mode) && !ed.paintMask) ed.setTool('select')
        },
        draw(/** @type {Context} */ g) {
          drawLine(ed, g, outline(from, to), true, mode)
        }
      }
    }
  }
}

export const rectangle = boxTool(
  { label: 'Rectangle', key: 'M', icon: 'rectangle', hint: 'Drag from corner to corner; Shift makes a square' },
  (a, b) => [[Math.min(a[0], b[0]), Math.min(a[1], b[1])], [Math.max(a[0], b[0]), Math.min(a[1], b[1])], [Math.max(a[0], b[0]), Math.max(a[1], b[1])], [Math.min(a[0], b[0]), Math.max(a[1], b[1])]]
)

export const ellipse = boxTool({ label: 'Ellipse', key: 'O', icon: 'ellipse', hint: 'Drag from corner to corner; Shift makes a circle' }, (a, b) =>
  Array.from({ length: 64 }, (_, i) => {
    const t = (i * Math.PI) / 32
    return [(a[0] + b[0]) / 2 + (Math.abs(b[0] - a[0]) / 2) * Math.cos(t), (a[1] + b[1]) / 2 + (Math.abs(b[1] - a[1]) / 2) * Math.sin(t)]
  })
)

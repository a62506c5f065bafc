// The wand: shows the super-pixel under the pointer, picks it by a click, more by a scribble.
import { scaledPoint, scaledShape } from '../document.js'
import { labelAt, shapeOf } from '../slic.js'
import { finishShape, modeOf } from './marking.js'
import { GRAINS, segment } from './pieces.js'
import { drawOutline } from './render.js'
import { inside, pathOf } from './shapes.js'
import { select } from './tool_select.js'
/** @import { Context, Editor, Keys, Pieces, Point, WandTool } from './types.js' */

/** @param {Editor} ed @param {Point} p @returns {number} */
function labelUnder(ed, p) {
  const { wand, size } = ed
  if (!wand?.labels) return -1
  return labelAt(wand.labels, wand.width, wand.height, ...scaledPoint(p, wand.width / size.width, wand.height / size.height))
}

/** The shape of pieces, once they are found, in the picture's pixels. @param {Editor} ed @param {Iterable<number>} labels */
function shapeFrom(ed, labels) {
  const { size } = ed
  const wand = /** @type {Pieces} */ (ed.wand)
  const found = { ...shapeOf(wand.labels, wand.width, wand.height, labels), strokes: [] }
  return scaledShape(found, size.width / wand.width, size.height / wand.height)
}

/** @param {Editor} ed @param {number} label */
function pathUnder(ed, label) {
  const { paths } = /** @type {Pieces} */ (ed.wand)
  const known = paths.get(label)
  if (known) return known
  const { polygons, holes } = shapeFrom(ed, [label])
  const path = pathOf([...polygons, ...holes])
  paths.set(label, path)
  return path
}

/** @type {WandTool} */
export const wand = {
  label: 'Wand', key: 'W', icon: 'wand', keys: 'click', cursor: 'crosshair',
  hint: 'Click a piece, or scribble over several; [\u00a0and\u00a0] change their size, Alt takes away',

  /** @param {Editor} ed */
  enter(ed) {
    try {
      segment(ed)
    } catch {
      ed.say('The pixels of this picture can not be read here: use another tool')
    }
  },

  /** @param {Editor} ed @param {number} way -1: smaller pieces */
  grain(ed, way) {
    ed.grain = Math.min(Math.max(ed.grain - way, 0), GRAINS.length - 1)
    wand.enter(ed)
  },

  /** @param {Editor} ed @param {Point} p @param {Keys} e */
  down(ed, p, e) {
    if (!ed.image) return ed.say('The wand needs the picture'), null
    if (!ed.wand?.labels) return wand.enter(ed), ed.say('Looking for pieces \u2026'), null
    const asked = modeOf(ed, e)
    const { region } = ed
    if (asked === 'new' && region && !ed.paintMask && inside(ed.outline(region), p)) return select.down(ed, p, e) // picked already: drag it
    const mode = asked === 'new' && region && ed.toolRegion === ed.regionIndex ? 'add' : asked
    const chosen = new Set([labelUnder(ed, p)])
    return {
      name: 'scribble',
      move(/** @type {Point} */ q) {
        chosen.add(labelUnder(ed, q))
      },
      end() {
        chosen.delete(-1)
        if (!chosen.size) return
        if (finishShape(ed, shapeFrom(ed, chosen), mode) && mode !== 'subtract' && ed.sel) ed.toolRegion = ed.sel.index
      },
      draw(/** @type {Context} */ g) {
        for (const label of chosen) if (label >= 0) highlight(ed, g, label, mode === 'subtract' ? '#ff6b6b' : '#ffffff')
      }
    }
  },

  /** @param {Editor} ed @param {Point} p */
  hover(ed, p) {
    const { region } = ed
    return region && inside(ed.outline(region), p) ? 'move' : 'crosshair'
  },

  /** @param {Editor} ed @param {Context} g */
  draw(ed, g) {
    const at = ed.cursor ?? ed.hover
    const label = at && !ed.gesture ? labelUnder(ed, at) : -1
    if (label >= 0) highlight(ed, g, label, '#ffffff')
  }
}

/** @param {Editor} ed @param {Context} g @param {number} label @param {string} color */
function highlight(ed, g, label, color) {
  drawOutline(g, pathUnder(ed, label), ed.view.matrix(), color, { width: 1.4, fill: 0.28, scale: ed.view.scale })
  g.setTransform(ed.view.dpr, 0, 0, ed.view.dpr, 0, 0)
}

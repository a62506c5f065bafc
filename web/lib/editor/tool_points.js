// Point pairs: press on what shall move, release where it goes.
import { MAX_POINTS } from '../document.js'
import { dragPoint } from './gestures.js'
import { hitHandle } from './handles.js'
import { inPicture } from './snap.js'
/** @import { Drag, Editor, Point, Tool } from './types.js' */

/** The pair whose start or target lies at a picture point. @param {Editor} ed @param {Point} p @returns {{index: number, end: 'start' | 'target'} | null} */
export function pairAt(ed, p) {
  const reach = ed.reach() / ed.view.scale
  for (let index = ed.doc.points.length - 1; index >= 0; index--) {
    for (const end of /** @type {const} */ (['target', 'start'])) {
      const [x, y] = ed.doc.points[index][end]
      if (Math.hypot(x - p[0], y - p[1]) <= reach) return { index, end }
    }
  }
  return null
}

/** @type {Tool} */
export const points = {
  label: 'Points', key: 'D', icon: 'points', keys: 'drag', cursor: 'crosshair',
  hint: 'Press on a point that shall move and release where it goes',
  /** @param {Editor} ed @param {Point} p */
  down(ed, p) {
    const handle = hitHandle(ed, ed.view.toScreen(p), ed.reach())
    const hit = handle && ed.sel ? { index: ed.sel.index, end: handle.id } : pairAt(ed, p)
    if (hit) {
      ed.select({ kind: 'point', index: hit.index })
      return withCommit(ed, dragPoint(ed, hit.index, hit.end, p), 'move a point')
    }
    if (ed.doc.points.length >= MAX_POINTS) return ed.say(`${MAX_POINTS} points are the most that a drag holds`), null
    const start = inPicture([Math.round(p[0] * 10) / 10, Math.round(p[1] * 10) / 10], ed.size)
    ed.edit({ ...ed.doc, points: [...ed.doc.points, { start, target: start }] })
    ed.sel = { kind: 'point', index: ed.doc.points.length - 1 }
    return withCommit(ed, dragPoint(ed, ed.sel.index, 'target', start), 'add a point')
  }
}

/** @param {Editor} ed @param {Drag} gesture @param {string} what @returns {Drag} */
export function withCommit(ed, gesture, what) {
  const { end } = gesture
  gesture.end = function () {
    end.call(this)
    ed.commit(what)
  }
  return gesture
}
